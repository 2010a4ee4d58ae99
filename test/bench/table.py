"""Medians as a Markdown table, with what is wanted of Leveret and whether it is there."""


def figure(value):
    if value is None:
        return "–"
    if abs(value) >= 1_000_000:
        return f"{value / 1_000_000:.2f} M"
    if abs(value) >= 10_000:
        return f"{value / 1000:.1f} k"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"


def ratio(of, to):
    return None if of is None or not to else of / to


def reached(target, own, medians, by_row):
    """The figure that the target is about; None when it cannot be told."""
    if target.of is None:
        return own
    other = by_row.get(target.row, {}) if target.row else medians
    return ratio(own, other.get(target.of))


def judge(target, value):
    if value is None:
        return f"{target.describe()}: ?"
    is_met = value >= target.at_least if target.at_least is not None else value <= target.at_most
    shown = figure(value) if target.of is None else f"{value:.2f}"
    return f"{target.describe()}: {shown} {'yes' if is_met else '**no**'}"


def row(metric, medians, by_row, names):
    own = medians.get("leveret")
    cells = [f"{metric.row} ({metric.unit})"]
    cells += [figure(medians.get(name)) for name in names]
    cells += ["; ".join(judge(t, reached(t, own, medians, by_row)) for t in metric.targets)]
    return cells


def markdown(rows, names):
    """`rows`: (metric, {contender: median}) in order."""
    by_row = {metric.row: medians for metric, medians in rows}
    lines = [["", *names, "wanted: reached"], ["---"] + ["---:"] * len(names) + ["---"]]
    lines += [row(metric, medians, by_row, names) for metric, medians in rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
