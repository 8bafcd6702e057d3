"""Make the first inputs of the stages that read CSV from those of `csv`: other control bytes, the same texts."""

import pathlib

corpus = pathlib.Path(__file__).parent / "corpus"
# Bytes that each target takes besides the ten of `csv`, behind its first four.
EXTRA = {"csv_project": 2, "csv_to_jsonl": 1, "csv_to_parquet": 1}

for target, extra in EXTRA.items():
    folder = corpus / target
    folder.mkdir(exist_ok=True)
    for at, path in enumerate(sorted((corpus / "csv").iterdir())[::2]):
        data = path.read_bytes()
        control = bytes((at * 37 + 11 * n) % 256 for n in range(extra))
        # An even first byte leaves broken records out, which is where most can be compared.
        control = bytes([control[0] & ~1 if at % 3 else control[0]]) + control[1:]
        (folder / path.name).write_bytes(data[:4] + control + data[4:])
