"""What a person reads on the terminal of a language model that was measured."""

from rich.console import Console

from training.language_report import LanguageReport
from training.table import framed, print_whole, tell_published


def print_language(report: LanguageReport, console: Console) -> None:
    """The model beside the counts that it has to beat, how fast it goes on, how it sounds, and what was published."""
    reading, network = report.reading, report.network
    columns = ("perplexity", "bits a byte", "tokens", "bytes")
    table = framed(f"{report.recipe.about} ({report.recipe.profile})", columns, first="test texts")
    for name, reader in ((report.recipe.family, reading.decoder), (f"{reading.order}-gram", reading.baseline)):
        whole = reader.whole
        table.add_row(
            name, f"{reader.perplexity:.2f}", f"{reader.bits_per_byte:.3f}", f"{whole.tokens:,}", f"{whole.bytes:,}"
        )
    better = sum(reading.decoder.topics[name].nats < one.nats for name, one in reading.baseline.topics.items())
    table.caption = f"{better} of {len(reading.baseline.topics)} topics are better told by the network."
    print_whole(table, console)
    rates = ", ".join(f"{rate:,.0f} @{rows}" for rows, rate in reading.tokens_per_second.items())
    latency, asked = reading.latency_ms, report.recipe.evaluate.prompt
    lines = (
        f"{network.parameters:,} parameters, {report.size / 1e6:.2f} MB, {network.cache_bytes / 1024:.0f} KiB of cache",
        f"tokens/s @rows, step by step, by ONNX Runtime alone on one thread: {rates}",
        f"a token more after {asked}, through the service: p50 {latency.p50:.1f} ms, p99 {latency.p99:.1f} ms",
        f"after {reading.sample.prompt[-40:]!r} it goes on {reading.sample.continuation!r}",
        report.goal,
    )
    for line in lines:
        console.print(f"  {line}", highlight=False, soft_wrap=True)
    tell_published(report.published, console)
