"""An author for tests that asks its model for the next agent: the prompt goes out, the answer is the agent."""

import json
import os
import sys
import urllib.request
from pathlib import Path

from sia.author.brief import AGENT_FILE, BRIEF_FILE, IMPROVEMENT_FILE, PROMPT_FILE, Brief


def main() -> None:
    workspace = Path(sys.argv[1])
    brief = Brief.model_validate_json((workspace / BRIEF_FILE).read_bytes())
    prompt = (workspace / PROMPT_FILE).read_text()
    request = urllib.request.Request(
        f"{os.environ['ANTHROPIC_BASE_URL']}/v1/messages",
        json.dumps(
            {
                "model": os.environ["SIA_META_MODEL"],
                "max_tokens": 2000,
                "messages": [{"role": "user", "content": f"Agent {brief.generation} please.\n\n{prompt}"}],
            }
        ).encode(),
        {"x-api-key": os.environ["ANTHROPIC_API_KEY"], "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        said = json.load(answer)
    (workspace / AGENT_FILE).write_text(said["content"][0]["text"])
    if brief.parent is not None:
        (workspace / IMPROVEMENT_FILE).write_text(f"Built on generation {brief.parent}.\n")
    print("the model wrote", len(said["content"][0]["text"]), "characters")


if __name__ == "__main__":
    main()
