#!/usr/bin/env python
import gc
import os
import sys

from django.core.management import execute_from_command_line

# What is imported stays: to look for garbage among it meanwhile is a sixth of the start.
gc.set_threshold(100_000, 20, 100)

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
    execute_from_command_line(sys.argv)
