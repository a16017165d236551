from mini import tokens


def test_prefix_is_what_the_engine_cuts(prompts):
    assert len(prompts.prefix) == tokens.CUT + 1 == 29


def test_known_ids(prompts):
    assert prompts.words("a red apple") == (264, 2518, 23268, tokens.END)


def test_the_empty_prompt_is_a_space(prompts):
    assert prompts.words("") == (220, tokens.END)


def test_order_of_words_is_order_of_tokens(prompts):
    one, other = (prompts.words(caption) for caption in ("a red apple and a blue fish", "a blue apple and a red fish"))
    assert one != other and sorted(one) == sorted(other)


def test_other_letters_come_back(prompts):
    ids = prompts.tokenizer.encode(" Zoë’s 12 naïve 猫 🐈!").ids
    shown = "".join(prompts.tokenizer.id_to_token(one) for one in ids)
    back = {letter: byte for byte, letter in tokens.letters().items()}
    assert bytes(back[letter] for letter in shown).decode() == " Zoë’s 12 naïve 猫 🐈!"
