"""`sia models`: the local models that SIA knows by name."""

import json
from typing import Annotated

import typer

models_app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
Name = Annotated[str, typer.Argument(help="Name as `sia models list` shows it, PATH.gguf, or a folder.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


@models_app.callback()
def _default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_models()


@models_app.command("list")
def list_models(json_output: Json = False) -> None:
    """Lists the local models and whether they are in the cache."""
    from sia.local.catalogue import KNOWN, PREFIX
    from sia.local.prepare import cached_model

    sizes = {model.name: sum(piece.wheel.size or 0 for piece in model.pieces) for model in KNOWN}
    cached = {model.name: cached_model(model.name).exists() for model in KNOWN}
    if json_output:
        rows = [
            {
                "name": PREFIX + model.name,
                "title": model.title,
                "license": model.license,
                "source": model.source,
                "download_bytes": sizes[model.name],
                "cached": cached[model.name],
            }
            for model in KNOWN
        ]
        print(json.dumps(rows))
        return
    for model in KNOWN:
        state = "in the cache" if cached[model.name] else f"{sizes[model.name] / 1e6:.0f} MB to fetch"
        print(f"{PREFIX}{model.name}  {model.title}  {model.license}  {state}")
    print("local/PATH.gguf and local/FOLDER (transformers' form) name models of your own")


@models_app.command("show")
def show_model(name: Name) -> None:
    """Shows where a model comes from, and its terms."""
    from sia.local.catalogue import KnownModel, find_model
    from sia.local.prepare import cached_model, terms_text

    model = find_model(name)
    if not isinstance(model, KnownModel):
        print(f"{model}: a model of your own, served from {cached_model(name)}")
        return
    print(f"{model.name}: {model.title}\nsource: {model.source}\nlicense: {model.license}")
    if model.terms:
        progress = lambda text: typer.echo(text, err=True)  # noqa: E731
        print(f"\n{model.terms.title} ({model.terms.url})\n\n{terms_text(model.terms, progress)}")


@models_app.command("fetch")
def fetch_model(
    name: Name,
    accept_terms: Annotated[
        bool, typer.Option("--accept-terms", help="You have read the model's terms and accept them.")
    ] = False,
) -> None:
    """Fetches a model into the cache, in the form in which it is served."""
    import os

    from sia.local.catalogue import KnownModel, find_model
    from sia.local.prepare import TERMS_VARIABLE, prepare_model

    model = find_model(name)
    environment = dict(os.environ)
    if accept_terms and isinstance(model, KnownModel) and model.terms:
        environment[TERMS_VARIABLE] = model.terms.word
    print(f"{name} is ready in {prepare_model(name, print, environment)}")
