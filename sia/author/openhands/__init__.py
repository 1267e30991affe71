"""The author that is an OpenHands agent, with a model of any provider."""
