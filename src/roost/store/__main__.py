"""`python -m roost.store DIRECTORY SOCKET`: the keeper process; started by `ProcessKeeper`."""

from roost.store.keeper_process import main

if __name__ == "__main__":
    main()
