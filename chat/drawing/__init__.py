"""
Pictures as SVG: values in, markup out.

Geometry stands in attributes and looks in classes, for the pages' policy
forbids styles inside them. No Django, no I/O.
"""
