"""The program `flagged-products`: one module a sub-command, imported only when it is called."""

from __future__ import annotations

import logging
import sys
from importlib import import_module

import click

from streams import __version__
from streams.errors import UserError

# In the order in which a newcomer meets them.
COMMANDS = {
    "demo": "See it all at work, in about a minute: a broker, a marketplace, a worker.",
    "worker": "Run a worker: read events, keep rates, publish transitions.",
    "topics": "Create or check the topics.",
    "tail": "Follow transitions as they are published.",
    "show": "Show one product: its status, why, and its numbers.",
    "serve": "Serve the seller's page, and the API behind it.",
    "notify": "Send transitions to webhooks.",
    "simulate": "Play a marketplace, and write its events.",
    "replay": "Send events from files into the topics.",
    "backtest": "What would a policy have flagged? Without a broker.",
    "policy": "Check a policy file.",
    "broker": "Run a local Kafka for development.",
}


class LazyGroup(click.Group):
    """Imports a sub-command when it is called: `policy check` shall not wait for Kafka's clients."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The `command` of the module of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"streams.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="flagged-products")
def program() -> None:
    """Live visibility flags for marketplace products.

    Reads order, cancellation, shipping-fee and impression events from Kafka, keeps rolling rates per product, and
    publishes an event whenever a product moves between clear, at risk, impacted and resolved.

    New here? Run `flagged-products demo`. All settings are in docs/SETTINGS.md.
    """


def main() -> None:
    """The entry point: exit code 2, one message and no traceback for what a user can mend."""
    # Without any handler Python prints what libraries log; what matters of it is in our own messages.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        program(standalone_mode=False)
    except UserError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)  # whoever read our output has had enough
