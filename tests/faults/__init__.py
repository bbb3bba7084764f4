"""
What must hold while processes, databases and networks fail under people who chat.

`clients` are people that never give up and write down all they see, `history`
judges what they saw, `sites` starts what is to be broken. `make test` runs a
first slice, `make test-faults` all of it.
"""
