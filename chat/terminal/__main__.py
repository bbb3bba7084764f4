import sys

from chat.terminal.main import main

sys.exit(main())
