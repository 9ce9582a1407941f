"""Why a bundle that loses too much is not installed."""


def refusal(precision: str, loses: str, drop: float, allowed: float, option: str = "--allow-drop") -> str | None:
    """A line for the user; None if `drop` is allowed. `loses` says it in words; `option` of hat-export allows it."""
    if drop <= allowed:
        return None
    accepted = f"{int(drop * 10) / 10 + 0.1:.1f}"  # rounded up
    return (
        f"the {precision} bundle {loses} on the validation set, and {allowed:g} is allowed; it was not installed; what "
        f"was there stays; hat-export {option} {accepted} accepts it"
    )
