"""`roost completion`: what a shell needs to complete commands and options."""

import click
from click.shell_completion import get_completion_class

from roost.cli.exits import EXIT_USAGE
from roost.cli.main import main
from roost.cli.shared import Failed

SHELLS = ("bash", "zsh", "fish")
# By it the program that a shell runs knows that it is asked what fits (click).
VARIABLE = "_ROOST_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    r"""Print what makes SHELL complete commands and options of roost.

    \b
    Example:
        eval "$(roost completion bash)"                                # in ~/.bashrc
        eval "$(roost completion zsh)"                                 # in ~/.zshrc
        roost completion fish > ~/.config/fish/completions/roost.fish
    """
    found = get_completion_class(shell)
    assert found is not None, "click knows all of SHELLS"
    try:
        text = found(main, {}, "roost", VARIABLE).source()
    except RuntimeError as error:
        raise Failed(str(error), EXIT_USAGE) from error
    click.echo(text)
