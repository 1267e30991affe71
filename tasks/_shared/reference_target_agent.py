"""Template of agents that ask a language model one question at a time: fill in the last part for a task of your own.

It shows the contract: the two arguments, the model from the environment, bounded concurrency, structured answers,
`submission.json` as the answer, and both forms of the record.
"""

import argparse
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# --- asking the model: the same in every reference agent, kept in tasks/_shared/reference_target_agent.py ---

MODEL = os.environ.get("SIA_TASK_MODEL", "")
DIALECT = os.environ.get("SIA_TASK_DIALECT", "anthropic")
AT_ONCE = 8  # questions that are out at the same time
RETRIES = 4  # of a call that failed, by the client, each after a longer wait
SECONDS = 90.0  # for one call
TOKENS = 1024  # of one answer


def make_client():
    """The plain client of the dialect. It finds address and key in its usual variables, which name the gateway."""
    if not MODEL:
        sys.exit("no model to ask: SIA_TASK_MODEL is not set")
    if DIALECT == "anthropic":
        import anthropic

        return anthropic.Anthropic(max_retries=RETRIES, timeout=SECONDS)
    import openai

    return openai.OpenAI(max_retries=RETRIES, timeout=SECONDS)


def ask(client, system, question, form):
    """One call. Returns the text or the structured answer that came back, and the tokens in and out.

    `form` is a JSON schema of an object: for Anthropic the input of a tool that must be used, for OpenAI-compatible
    servers the response format. A server that refuses it is asked in words alone.
    """
    if DIALECT == "anthropic":
        message = client.messages.create(
            model=MODEL,
            max_tokens=TOKENS,
            system=system,
            messages=[{"role": "user", "content": question}],
            tools=[{"name": "answer", "description": "Gives the answer.", "input_schema": form}],
            tool_choice={"type": "tool", "name": "answer"},
        )
        answers = [json.dumps(block.input) for block in message.content if block.type == "tool_use"]
        texts = [block.text for block in message.content if block.type == "text"]
        return "\n".join(answers or texts), message.usage.input_tokens, message.usage.output_tokens
    import openai

    call = {
        "model": MODEL,
        "max_tokens": TOKENS,
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": question}],
    }
    schema = {"name": "answer", "schema": form, "strict": True}
    shaped = {"response_format": {"type": "json_schema", "json_schema": schema}}
    try:
        completion = client.chat.completions.create(**call, **shaped)
    except openai.BadRequestError as error:
        if "max_completion_tokens" in str(error):  # what models that reason first call the bound
            call["max_completion_tokens"] = call.pop("max_tokens")
        else:
            shaped = {}
        completion = client.chat.completions.create(**call, **shaped)
    usage = completion.usage
    spent = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
    return completion.choices[0].message.content or "", *spent


def object_in(text):
    """The first JSON object in a text, else an empty one."""
    start = text.find("{")
    while start >= 0:
        try:
            found, _ = json.JSONDecoder().raw_decode(text[start:])
            return found
        except ValueError:
            start = text.find("{", start + 1)
    return {}


def answer_all(questions, system, form, read, folder):
    """Asks each question of a dict from id to text, several at a time; returns id to answer.

    `read` turns the text that came back into an answer, or None. What was asked and what came back of each lies in
    agent_execution/execution_q{i}.json, the sums in agent_execution.json.
    """
    client = make_client()
    logs = folder / "agent_execution"
    logs.mkdir(exist_ok=True)

    def work(number, key):
        log = {"id": key, "model": MODEL, "system": system, "question": questions[key], "tokens": [0, 0]}
        try:
            log["reply"], *log["tokens"] = ask(client, system, questions[key], form)
            log["answer"] = read(log["reply"])
        except Exception as error:  # whatever goes wrong with one question, the others go on
            log["error"] = f"{type(error).__name__}: {error}"[:500]
        (logs / f"execution_q{number}.json").write_text(json.dumps(log, indent=1, ensure_ascii=False))
        return log

    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = []
        for log in pool.map(work, range(1, len(questions) + 1), questions):
            done.append(log)
            print(f"{len(done)} of {len(questions)}: {log.get('answer', log.get('error'))}", flush=True)
    failed = [log for log in done if "error" in log]
    record = {
        "model": MODEL,
        "questions": len(done),
        "answered": sum(log.get("answer") is not None for log in done),
        "failed": len(failed),
        "first_error": failed[0]["error"] if failed else None,
        "tokens_in": sum(log["tokens"][0] for log in done),
        "tokens_out": sum(log["tokens"][1] for log in done),
    }
    (folder / "agent_execution.json").write_text(json.dumps(record, indent=1))
    if len(failed) == len(done):
        sys.exit(f"no question could be asked; the first error: {failed[0]['error']}")
    return {log["id"]: log["answer"] for log in done if log.get("answer") is not None}


def arguments():
    """The folders that the agent is given: its inputs, and where it leaves its outputs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset_dir", type=Path, required=True)
    parser.add_argument("--working_dir", type=Path, required=True)
    return parser.parse_args()


# --- the task ---


SYSTEM = "Answer the question."
FORM = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}


def read_answer(reply):
    """The answer in a reply; None when there is none."""
    answer = object_in(reply).get("answer")
    return answer if isinstance(answer, str) else None


def main():
    """Reads the questions, asks the model, writes the submission."""
    folders = arguments()
    records = json.loads((folders.dataset_dir / "questions.json").read_text(encoding="utf-8"))
    questions = {str(record["id"]): record["question"] for record in records}
    answers = answer_all(questions, SYSTEM, FORM, read_answer, folders.working_dir)
    (folders.working_dir / "submission.json").write_text(json.dumps(answers, indent=1))


if __name__ == "__main__":
    main()
