"""Lets tests press Ctrl-C wherever the suite is started: what a shell runs in the background ignores it."""

import signal
import threading

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    and threading.current_thread() is threading.main_thread()
):
    signal.signal(signal.SIGINT, signal.default_int_handler)
