"""An author without a language model: moves over a grammar of tabular target agents, chosen by a bandit."""
