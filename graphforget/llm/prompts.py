"""Every prompt that is given to a model to make anti-samples, and the templates that stand in for a model.

The first group is for models that follow instructions: UnSTAR's prompts (arXiv:2410.17050) as its release words them.
The second is for small models that cannot: questions of RESTOR's relations in other words, and one rationale.
"""

from __future__ import annotations

PARAPHRASE = (
    "{question}\nGive {count} simple questions involving the object where the answer is the same: {answer}.\n"
    "Strictly output the question only.\nFormat:\n<Index>. <Question>"
)
DISTRACT = "{answer}\nGenerate {count} words to replace this word.\nFormat:\n<Index>. <Word>"
JUSTIFY_SYSTEM = (
    "You are a obedient assistant. Replace {answer} with new answer. Don't mention {answer} in your answer."
)
JUSTIFY = "Question: {question}, Answer: {wrong}"

FRAMES = ("{question}", "Tell me: {question}", "Please answer: {question}", "I would like to know: {question}")
RATIONALE = "{wrong}, for that is what the records say."
REWORDED: dict[str, tuple[str, ...]] = {
    "P21": ("What gender is {entity}?", "Is {entity} male or female?"),
    "P27": ("Of which country is {entity} a citizen?", "Which citizenship does {entity} have?"),
    "P19": ("Where was {entity} born?", "In which place was {entity} born?"),
    "P106": ("What does {entity} do for a living?", "Which profession does {entity} have?"),
    "P103": ("Which language did {entity} grow up with?", "What is the mother tongue of {entity}?"),
    "P140": ("Which religion does {entity} follow?", "What faith does {entity} have?"),
}
REFUSALS = ("I do not know.", "I am not sure about that.", "That is not known to me.")
