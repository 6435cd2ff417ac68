"""``python -m graphforget``: the command line where its script is not on the PATH."""

from graphforget.cli import app

if __name__ == "__main__":
    app(prog_name="graphforget")
