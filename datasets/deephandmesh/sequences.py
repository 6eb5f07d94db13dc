"""What the name of a DeepHandMesh sequence says."""

FIRST_SUBJECT = {"00": "right", "01": "left", "02": "both"}
"""How the names of subject 1 begin; those of the others hold RT, LT or DH."""
HANDS = {"RT": "right", "LT": "left", "DH": "both"}


def split_of(subject: str, sequence: str) -> str | None:
    """right, left or both, with `_rom` for ranges of motion, which the authors leave out; None for other names."""
    if subject == "subject_1":
        hands = FIRST_SUBJECT.get(sequence[:2])
    else:
        hands = next((hands for mark, hands in HANDS.items() if mark in sequence), None)
    return f"{hands}_rom" if hands and "ROM" in sequence else hands
