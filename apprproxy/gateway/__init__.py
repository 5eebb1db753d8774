"""The use case: four verbs (blob, lookup, survey, forward) that know no protocol, no library and no I/O."""
