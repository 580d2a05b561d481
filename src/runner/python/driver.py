"""Keeps one Python interpreter for the queries of a kernel.

Runs in the image's own interpreter (3.5 or newer, standard library only). Descriptor 3 brings requests, descriptor 4
takes events; both are moved out of the way before user code runs. A frame is one byte of kind, four bytes of length
(big-endian) and the payload. Requests: R code, I one line of input. Events: Y ready (payload: the output marker),
D done, P input wanted (payload: b"1" for a password). Before D and P the marker is written to the pipes behind standard
output and error, so that the reader knows that it has everything that was written before.
"""


def _start():
    # Names live in here, and imports of the module in `sys.modules` only: user code starts in an empty namespace.
    import __future__
    import ast
    import builtins
    import errno
    import io
    import os
    import select
    import signal
    import struct
    import sys
    import types

    try:
        import fcntl
    except ImportError:
        fcntl = None

    os.environ.pop("DENO_EXTRA_STDIO_FDS", None)  # the runner's way to hand descriptors on
    driver_file = _start.__code__.co_filename
    home_pid = os.getpid()

    # --- descriptors -------------------------------------------------------------------------------------------------

    def put_aside(fd, close):
        """A private copy that children do not inherit, high up where user code rarely closes everything."""
        copy = None
        for lowest in (900, 200):
            if fcntl is None:
                break
            try:
                copy = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest)
                break
            except OSError:
                continue  # the limit of open files is lower
        if copy is None:
            copy = os.dup(fd)
        if close:
            os.close(fd)
        return copy

    requests = put_aside(3, True)
    events = put_aside(4, True)
    pipes = (put_aside(1, False), put_aside(2, False))
    # No byte 0xff occurs in UTF-8 text, so that looking for the marker is quick.
    marker = b"\xff" + os.urandom(31)

    def write_all(fd, data):
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(fd, view):]
            except BlockingIOError:  # a child of the user made the shared pipe non-blocking
                poll = select.poll()
                poll.register(fd, select.POLLOUT)
                poll.poll()
            except OSError as error:
                if error.errno == errno.EBADF:  # user code closed every descriptor
                    return
                raise

    def emit(kind, payload=b""):
        write_all(events, kind + struct.pack(">I", len(payload)) + payload)

    def flush_output():
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except BaseException:  # replaced or closed by user code
                pass
        for stream in own_streams:
            try:
                stream.flush()
            except BaseException:
                pass
        for fd in pipes:
            write_all(fd, marker)

    # --- interrupts --------------------------------------------------------------------------------------------------

    def ignore_interrupt(signum, frame):
        pass

    user_handler = [signal.default_int_handler]

    def shield():
        """From here on an interrupt is not for user code. Remembers the handler that user code has set."""
        while True:
            try:
                handler = signal.getsignal(signal.SIGINT)
                if handler is not ignore_interrupt:
                    user_handler[0] = handler
                signal.signal(signal.SIGINT, ignore_interrupt)
                return
            except KeyboardInterrupt:
                continue

    def expose():
        handler = user_handler[0]  # None when it was not set from Python
        signal.signal(signal.SIGINT, signal.default_int_handler if handler is None else handler)

    # --- requests ----------------------------------------------------------------------------------------------------

    received = bytearray()

    def read_request(interruptible):
        """The next frame, or None when the runner is gone. Only the wait itself can be interrupted, never the read."""
        poll = select.poll()
        poll.register(requests, select.POLLIN)
        while True:
            if len(received) >= 5:
                length = struct.unpack(">I", bytes(received[1:5]))[0]
                if len(received) >= 5 + length:
                    kind, payload = bytes(received[:1]), bytes(received[5:5 + length])
                    del received[:5 + length]
                    return kind, payload
            if interruptible:
                expose()
                try:
                    poll.poll()
                finally:
                    shield()
            else:
                poll.poll()
            chunk = os.read(requests, 1 << 20)
            if not chunk:
                return None
            received.extend(chunk)

    def ask(prompt, password):
        import threading
        if threading.current_thread() is not threading.main_thread() or os.getpid() != home_pid:
            raise EOFError("input() works in the main thread of the kernel only")
        if prompt:
            sys.stdout.write(prompt)
        shield()
        try:
            flush_output()
            emit(b"P", b"1" if password else b"0")
            while True:
                request = read_request(True)
                if request is None:
                    raise EOFError("the kernel ends")
                if request[0] == b"I":
                    text = request[1].decode("utf-8", "replace")
                    return text[:-1] if text.endswith("\n") else text
        finally:
            expose()

    def input(prompt=""):
        """Read a string from whoever runs the code. The trailing newline is stripped."""
        return ask(str(prompt), False)

    def getpass(prompt="Password: ", stream=None, **options):
        """Read a password from whoever runs the code."""
        return ask(str(prompt), True)

    # --- output ------------------------------------------------------------------------------------------------------

    class Prompt(io.BufferedWriter):
        """Hands on every write at once, and all of it, which a raw file does not do when a signal comes."""

        def write(self, data):
            count = super().write(data)
            self.flush()
            return count

    def open_stream(fd, errors):
        return io.TextIOWrapper(
            Prompt(io.FileIO(fd, "w", closefd=False), 65536), "utf-8", errors, newline="\n", write_through=True)

    sys.stdout.flush()
    sys.stderr.flush()
    own_streams = (open_stream(1, "backslashreplace"), open_stream(2, "backslashreplace"))
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__ = own_streams

    def show(value):
        """`sys.displayhook`: the text of the last expression, without a newline (06 §9.1)."""
        if value is None:
            return
        builtins._ = None
        sys.stdout.write(repr(value))
        builtins._ = value

    def own_frames_left_out(traceback):
        while traceback is not None and traceback.tb_frame.f_code.co_filename == driver_file:
            traceback = traceback.tb_next
        return traceback

    def report(kind, value, traceback):
        """`sys.excepthook`"""
        import traceback as formatter
        formatter.print_exception(kind, value, traceback, file=sys.stderr)

    # --- running -----------------------------------------------------------------------------------------------------

    main = types.ModuleType("__main__")
    main.__builtins__ = builtins
    future_flags = 0
    for feature in __future__.all_feature_names:
        future_flags |= getattr(__future__, feature).compiler_flag
    await_flag = getattr(ast, "PyCF_ALLOW_TOP_LEVEL_AWAIT", 0)
    state = {"count": 0, "flags": await_flag, "loop": None}

    def run_code(code):
        if not await_flag or not code.co_flags & 0x80:  # CO_COROUTINE
            exec(code, main.__dict__)
            return
        import asyncio
        coroutine = eval(code, main.__dict__)
        if state["loop"] is None or state["loop"].is_closed():
            state["loop"] = asyncio.new_event_loop()
            asyncio.set_event_loop(state["loop"])
        state["loop"].run_until_complete(coroutine)

    def compile_parts(source, filename):
        """The statements, and apart from them the last one if it is an expression that is to be shown."""
        def compiled(tree, mode):
            code = compile(tree, filename, mode, state["flags"], True)
            state["flags"] |= code.co_flags & future_flags
            return code
        tree = compile(source, filename, "exec", ast.PyCF_ONLY_AST | state["flags"], True)
        last = None
        if tree.body and isinstance(tree.body[-1], ast.Expr) and not source.rstrip().endswith(";"):
            last = ast.Interactive([tree.body.pop()])
        parts = []
        if tree.body:
            parts.append(compiled(tree, "exec"))
        if last is not None:
            parts.append(compiled(last, "single"))
        return parts

    def keep_source(source, filename):
        import linecache
        lines = source.splitlines(True)
        # The modification time None keeps the entry when the cache is checked against the disk.
        linecache.cache[filename] = (len(source), None, lines, filename)

    def run_user(source):
        """Runs one query. Returns the exit status if user code asked to exit in a process it forked."""
        status = 0
        state["count"] += 1
        filename = "<input-{}>".format(state["count"])
        try:
            try:
                keep_source(source, filename)
                expose()
                for code in compile_parts(source, filename):
                    run_code(code)
            finally:
                shield()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
            if os.getpid() == home_pid:
                note = "SystemExit" if end.code is None else "SystemExit: {}".format(end.code)
                sys.stderr.write(note + "\n")
            elif end.code is not None and not isinstance(end.code, int):
                sys.stderr.write("{}\n".format(end.code))
        except BaseException:
            status = 1
            kind, value, traceback = sys.exc_info()
            traceback = own_frames_left_out(traceback)
            sys.last_type, sys.last_value, sys.last_traceback = kind, value, traceback
            try:
                sys.excepthook(kind, value.with_traceback(traceback), traceback)
            except BaseException:
                report(*sys.exc_info())
        return status

    def leave_fork(status):
        """Code after `os.fork()` reached the end of its query: the copy must not go on as a second kernel."""
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except BaseException:
                pass
        os._exit(status & 0xFF)

    def serve():
        shield()
        emit(b"Y", marker)
        prepare()
        while True:
            request = read_request(False)
            if request is None:
                return
            if request[0] != b"R":
                continue  # an answer to a question that nobody asks any more
            try:
                status = run_user(request[1].decode("utf-8", "replace"))
            except KeyboardInterrupt:  # it came in the moment between the user's code and the shield
                status = 1
            shield()
            if os.getpid() != home_pid:
                leave_fork(status)
            flush_output()
            emit(b"D")

    def prepare():
        """What a first query would otherwise wait for."""
        import getpass as module
        import linecache
        import traceback
        module.getpass = getpass
        module.unix_getpass = getpass

    try:
        import faulthandler
        faulthandler.enable(pipes[1])
    except Exception:
        pass
    sys.displayhook = sys.__displayhook__ = show
    sys.excepthook = sys.__excepthook__ = report
    builtins.input = input
    keep = sys.modules["__main__"]
    sys.modules["__main__"] = main
    # A query is interactive code: what looks for a script finds none.
    sys.argv = [""]
    if sys.path and sys.path[0] == os.path.dirname(driver_file):
        sys.path[0] = ""
    elif "" not in sys.path:
        sys.path.insert(0, "")
    return keep, serve


_kept, _serve = _start()
_serve()
