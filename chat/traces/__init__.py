"""
What a trace shows: the steps of an answer, how long they took, what they changed.

Reads only, as plain values and markup for `chat.views.traces`.
"""
