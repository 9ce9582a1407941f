"""What a language model costs by the rules of a contest: itemised parameters, operations and a score."""
