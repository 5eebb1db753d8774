"""What every protocol's face needs of HTTP: paths parsed from the wire, answers with verdicts, bytes sent with care."""
