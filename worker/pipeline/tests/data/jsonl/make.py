"""Lines and what Python's json module says of them: the categories that JSON test suites have, and mutations of sound
lines. Writes `cases.txt` beside itself: a verdict (`+` or `-`), a space, and the line's bytes in hexadecimal.

Python is made as strict as RFC 8259 with UTF-8: no NaN, no Infinity, and strings that UTF-8 can hold.
"""

import json
import pathlib
import random

SOUND = [
    # values alone
    "null", "true", "false", "0", "-0", "1", "-1", '""', '"a"', "[]", "{}", "[[]]", "[{}]", '{"":{}}', '{"a":[]}',
    # numbers
    "10", "1.5", "-1.5", "0.0", "1e5", "1E5", "1e+5", "1e-5", "1.5e10", "0e1", "0E+1", "123456789012345678901234567890",
    "1e400", "-1e-400", "0.1234567890123456789", "[1,2,3]", "[ 1 , 2 ]", "-0.0e-0",
    # white space
    " null", "null ", "\tnull\r", "[\t1 ,\r2 ]", '{ "a" : 1 , "b" : 2 }', " { } ", " [ ] ",
    # strings
    '"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"\\u0000"', '"\\u00e9"', '"\\uD834\\uDD1E"', '"\\ud834\\udd1e"', '"\u00e9"', '"\u6771"',
    '"\U0001d11e"', '"\x7f"', '"\u2028\u2029"', '"\ufffe\uffff"', '"\ufeff"', '"/"', '"' + "a" * 15 + '"', '"' + "a" * 16 + '"',
    '"' + "a" * 17 + '"', '"' + "a" * 31 + '\\n"', '"' + "a" * 14 + "\u00e9" + '"', '"\\u0061bc\\u00FF"',
    # structure
    '{"a":1,"a":2}', '{"a":{"b":{"c":[1,{"d":null}]}}}', "[" * 60 + "]" * 60, '{"a":' * 30 + "1" + "}" * 30,
    '[true,false,null,"x",1.5e3,{"k":[]}]', '{"id":17,"sku":"A-1","qty":3,"tags":["x","y"],"price":12.50,"note":null}',
]

BROKEN = [
    # nothing, and white space of others
    "", " ", "\t", "\r", "\u00a0null", "null\u00a0", "\x0bnull", "\x0c1", "\ufeffnull", "\ufeff", "\u2028",
    # literals
    "nul", "nulll", "Null", "NULL", "True", "tru", "truee", "fals", "None", "undefined", "nan", "NaN", "-NaN", "Infinity",
    "-Infinity", "inf", "a", "true false", "nulltrue",
    # numbers
    "+1", "01", "-01", "00", "-", "--1", "1.", ".5", "-.5", "1.e5", "1e", "1e+", "1E-", "1.5.5", "1e5.5", "0x10", "1_000",
    "1,000", "1 000", "\uff11", "1a", "0b1", "1e1e1", "- 1", "-\t1", "[-]", "[1.]", "[01]", "[+1]", "[1e]",
    # strings
    '"', '"a', 'a"', "'a'", '"\\"', '"\\x41"', '"\\a"', '"\\u"', '"\\u12"', '"\\u12g4"', '"\\U0041"', '"\\', '"\\u123', '"\t"',
    '"\x00"', '"\x1f"', '"a\x01b"', '"a" "b"', '"a"b', '"\\uD834"', '"\\uDD1E"', '"\\uDD1E\\uD834"', '"\\uD834\\u0041"',
    '"\\uD834x"', '"\\uD834\\n"', '"\\uD834\\uD834"', '"\\ud8', '"\\ud834\\u', '"\\u 041"', '"\\u+041"', '"\\u-041"',
    # arrays
    "[", "]", "[1", "1]", "[1,", "[,", "[,1]", "[1,]", "[1,,2]", "[1 2]", "[1:2]", "[1;2]", "[1}", "[[1]", "[1]]", "[]]", "[][]",
    "[\"a\"", "[1],", ",[1]", "[1]x",
    # objects
    "{", "}", '{"a"', '{"a":', '{"a":1', '{"a":1,', '{"a":1,}', "{,}", '{,"a":1}', '{"a" 1}', '{"a"=1}', "{a:1}", "{'a':1}",
    "{1:1}", "{null:1}", '{"a":1 "b":2}', '{"a":1,,"b":2}', '{"a":1;"b":2}', '{"a"::1}', '{"a":}', '{"a":1]', '{"a":1}}', "{}{}",
    '{"a":1}1', "{[]:1}", '{"a",1}', '{"a":1:2}', '{"a"}', '{"a":"b}', '{"a:1}',
    # comments
    "/**/1", "1//x", "1/**/", "[1,/**/2]", "#1", '{"a":1/*x*/}', "<!--1-->",
    # depth without end
    "[" * 60, '{"a":' * 30, "[" * 30 + "}" * 30,
]

BROKEN_BYTES = [
    b'"\xff"', b'"\xc3"', b'"\xe9"', b'"\xc0\xaf"', b'"\xe0\x80\xaf"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\xf0\x9f\x98"', b"\xff",
    b'{"\xff":1}', b'["a\x80"]', b'"a' + b"\xe2\x82", b"1\x80", b"\xfe\xff\x00n", b"n\x00u\x00l\x00l\x00",
]


def refuse(constant):
    raise ValueError(constant)


def is_sound(line):
    try:
        value = json.loads(line.decode("utf-8"), parse_constant=refuse)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except ValueError:
        return False
    return True


def mutations(count):
    draw = random.Random(8259)
    pool = [text.encode() for text in SOUND if len(text) < 80]
    alphabet = b'"\\{}[]:,.-+eE0123456789 \t\rtrufalsn\x00\x1f\x7f\xc3\xa9\xffuUx/'
    for _ in range(count):
        line = bytearray(draw.choice(pool))
        for _ in range(draw.choice([1, 1, 1, 2, 3])):
            at = draw.randrange(len(line) + 1)
            kind = draw.randrange(4)
            if kind == 0:
                line.insert(at, draw.choice(alphabet))
            elif kind == 1 and at < len(line):
                del line[at]
            elif kind == 2 and at < len(line):
                line[at] = draw.choice(alphabet)
            else:
                other = draw.choice(pool)
                line[at:at] = other[draw.randrange(len(other)):][:12]
        yield bytes(line)


def main():
    lines = [text.encode() for text in SOUND + BROKEN] + BROKEN_BYTES
    assert all(is_sound(text.encode()) for text in SOUND)
    assert not any(is_sound(line) for line in lines[len(SOUND):])
    lines += mutations(1500)
    seen = dict.fromkeys(line for line in lines if b"\n" not in line)
    cases = (f"{'+' if is_sound(line) else '-'} {line.hex()}\n" for line in seen)
    pathlib.Path(__file__).with_name("cases.txt").write_text("".join(cases))


main()
