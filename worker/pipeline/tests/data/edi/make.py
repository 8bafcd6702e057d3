"""Interchanges, sound and with a segment lost, doubled, moved or changed, and the faults a checker written for this
purpose finds: `[segment, offset, element]` each. Writes `cases.jsonl` beside itself."""

import json
import pathlib
import random

draw = random.Random(12)


def x12():
    """Segments of one interchange, as lists of elements."""
    control = draw.randrange(1, 999_999_999)
    segments = [["ISA", "00", " " * 10, "00", " " * 10, "ZZ", "SENDER".ljust(15), "ZZ", "RECEIVER".ljust(15), "261125", "0300", "^", "00501", f"{control:09}", "0", "P", ":"]]
    groups = draw.randrange(0, 3)
    for group in range(1, groups + 1):
        segments.append(["GS", "PO", "S", "R", "20261125", "0300", str(group), "X", "005010"])
        sets = draw.randrange(0, 3)
        for one in range(1, sets + 1):
            body = [["BEG", "00", "NE"]] * draw.randrange(0, 4)
            segments += [["ST", "850", f"{one:04}"], *body, ["SE", str(len(body) + 2), f"{one:04}"]]
        segments.append(["GE", str(sets), str(group)])
    segments.append(["IEA", str(groups), f"{control:09}"])
    return segments


def edifact():
    segments = [["UNB", "UNOA:1", "S", "R", "261125:0300", f"R{draw.randrange(1000)}"]]
    grouped, total, inner = draw.random() < 0.5, 0, draw.randrange(0, 3)
    for group in range(1, inner + 1):
        messages = draw.randrange(0, 3) if grouped else 1
        if grouped:
            segments.append(["UNG", "ORDERS", "S", "R", "261125:0300", f"G{group}", "UN", "D:96A"])
        for one in range(1, messages + 1):
            body = [["FTX", "it?'s", "a?+b??"]] * draw.randrange(0, 4)
            name = f"M{group}-{one}"
            segments += [["UNH", name, "ORDERS:D:96A:UN"], *body, ["UNT", str(len(body) + 2), name]]
        if grouped:
            segments.append(["UNE", str(messages), f"G{group}"])
        total += 1
    segments.append(["UNZ", str(total), segments[0][5]])
    return segments


def changed(segments):
    """Never the first or the last: those are faults of another kind."""
    segments = [list(segment) for segment in segments]
    inner = range(1, len(segments) - 1)
    if not inner:
        return segments
    at, kind = draw.choice(inner), draw.randrange(5)
    if kind == 0:
        del segments[at]
    elif kind == 1:
        segments.insert(at, list(segments[at]))
    elif kind == 2:
        other = draw.choice(inner)
        segments[at], segments[other] = segments[other], segments[at]
    elif kind == 3:
        segments[at][draw.randrange(1, len(segments[at]))] = draw.choice(["", "9", "0007", "x"])
    else:
        segments[-1][draw.choice([1, 2])] = draw.choice(["", "9", "0007", "x"])
    return segments


RULES = {
    "x12": {"ISA": (0, 13), "GS": (1, 6), "ST": (2, 2), "SE": 2, "GE": 1, "IEA": 0},
    "edifact": {"UNB": (0, 5), "UNG": (1, 5), "UNH": (2, 1), "UNT": 2, "UNE": 1, "UNZ": 0},
}


def same(one, other):
    return one == other or (one.isdigit() and other.isdigit() and int(one) == int(other))


def faults(standard, segments, starts):
    found = []
    open_at = [None, None, None]  # control number of each level
    count = [0, 0, 0]
    groups = 0
    used = [set(), set()]  # by groups or messages of the interchange; by messages of the group

    for number, (segment, start) in enumerate(zip(segments, starts), 1):
        name = segment[0]
        rule = RULES[standard].get(name)

        def fault(element=None):
            found.append([number, start, name if element is None else f"{name}{element:02}"])

        def end_from(level):
            for inner in (2, 1, 0):
                if inner >= level and open_at[inner] is not None:
                    open_at[inner] = None
                    fault()

        if open_at[2] is not None:
            count[2] += 1
        element = lambda at: segment[at].strip() if at < len(segment) else ""
        if isinstance(rule, tuple):
            level, at = rule
            end_from(level)
            control = element(at)
            if not control:
                fault(at)
            if level == 1:
                groups += 1
            if level == 2 and open_at[1] is None and (standard == "x12" or groups):
                fault()
            parent = 1 if level == 2 and open_at[1] is not None else 0
            if level == 2:
                count[parent] += 1
            if level and control:
                if control in used[parent]:
                    fault(at)
                used[parent].add(control)
            if level < 2:
                used[level] = set()
            open_at[level], count[level] = control, 1 if level == 2 else 0
        elif rule is not None:
            end_from(rule + 1)
            if open_at[rule] is None:
                fault()
                continue
            there = groups if rule == 0 and (standard == "x12" or groups) else count[rule]
            said = element(1)
            if not (said.isdigit() and int(said) == there):
                fault(1)
            if not same(element(2), open_at[rule]):
                fault(2)
            open_at[rule] = None
        elif open_at[2] is None:
            fault()
    return found


def main():
    cases = []
    for at in range(300):
        standard = draw.choice(["x12", "edifact"])
        segments = x12() if standard == "x12" else edifact()
        if at % 3:
            segments = changed(segments)
        separator, end = ("*", "~") if standard == "x12" else ("+", "'")
        line = draw.choice(["", "\n", "\r\n"])
        file, starts = "", []
        if standard == "edifact" and draw.random() < 0.5:
            file = "UNA:+.? '" + line
        for segment in segments:
            starts.append(len(file))
            file += separator.join(segment) + end + line
        cases.append({"standard": standard, "file": file, "faults": faults(standard, segments, starts)})
    lines = "".join(json.dumps(case, separators=(",", ":")) + "\n" for case in cases)
    pathlib.Path(__file__).with_name("cases.jsonl").write_text(lines)


main()
