"""Documents and what expat says of them, DTDs and other encodings refused. Writes `cases.txt` beside itself: a verdict
(`+` or `-`), a space, and the document's bytes in hexadecimal."""

import pathlib
import random
import re
import xml.parsers.expat as expat

SOUND = [
    "<a/>", "<a></a>", "<a />", "<a\n/>", "<a></a >", "<a>t</a>", "<a><b/><c>d</c></a>", "<a b='1'/>", '<a b="1" c=\'2\'/>', "<a b = '1' />",
    "<?xml version='1.0'?><a/>", '<?xml version="1.0" encoding="UTF-8"?>\n<a/>', '<?xml version="1.0" encoding="utf-8" standalone="yes"?><a/>',
    "<?xml version='1.0' standalone='no' ?><a/>", "\ufeff<a/>", "\ufeff<?xml version='1.0'?><a/>", " <a/> ", "<!--c--><a/><!--d-->", "<?p?><a/><?p d?>",
    "<a><!-- - - --></a>", "<a><!----></a>", "<a><![CDATA[<&]]]]></a>", "<a><![CDATA[]]></a>", "<a><![CDATA[]]]></a>", "<a>]]</a>", "<a>] ]></a>", "<a>></a>",
    "<a>&amp;&lt;&gt;&apos;&quot;</a>", "<a>&#65;&#x41;&#x10FFFF;&#9;&#10;&#xD;</a>", "<a b='&amp;&#65;>'/>", "<a b='\"'/>", '<a b="\'"/>', "<a b=''/>",
    "<a>]]&gt;</a>", "<a><?pi ?x ??></a>", "<a><?pi?></a>", "<\u00e9/>", "<a>\u00e9\u6771\U0001d11e</a>", "<a \u00e9='\u6771'/>", "<_a-b.c:d/>", "<a:b xmlns:a='u'/>",
    "<a b='1\n2\t'/>", "<a><b><c><d/></c></b></a>", "<a>\t\r\n</a>", "<a\tb='1'\r\nc='2'/>", "<a>x<b/>y<b/>z</a>", "<a><!--<b>&x;--></a>", "<a><?p <b>&x;?></a>",
    "<!--a--><?p?>\n<a/>\n<?p?><!--b-->\n", "<a><![CDATA[x]]y]]></a>", "<a>\x7f\x85</a>",
]

BROKEN = [
    "", " ", "\ufeff", "a", "<", "<a", "<a>", "<a/", "<a b", "<a b=", "<a b='", "<a b='1'", "<a>t", "<a></", "<a></a", "<a><b></a>", "<a></b>", "</a>", "<a/></a>",
    "<a/><b/>", "<a/>t", "t<a/>", "<a></a>&amp;", "&amp;<a/>", "<a/><![CDATA[]]>", "<![CDATA[]]><a/>", "<>", "</>", "< a/>", "<a></ a>", "<1/>", "<-a/>", "<.a/>", "<a!/>",
    "<a b/>", "<a b=1/>", "<a b='1'c='2'/>", "<a b='1' b='2'/>", "<a b='<'/>", "<a b='1\"/>", "<a 1='2'/>", "<a b=='1'/>", "<a b='&'/>", "<a b='&x;'/>", "<a b='&#0;'/>",
    "<a / >", "<a/ >", "<a//>", "<a></a/>", "<a></a b='1'>", "<a <b/>/>", "<<a/>", "<a>]]></a>", "<a>&</a>", "<a>& </a>", "<a>&amp</a>", "<a>&;</a>", "<a>&x;</a>",
    "<a>&nbsp;</a>", "<a>&#;</a>", "<a>&#x;</a>", "<a>&#xg;</a>", "<a>&#0;</a>", "<a>&#1;</a>", "<a>&#xFFFE;</a>", "<a>&#xD800;</a>", "<a>&#x110000;</a>", "<a>&#-1;</a>",
    "<a>&#X41;</a>", "<a>&# 65;</a>", "<a>&amp ;</a>", "<a>&a b;</a>", "<a>\x00</a>", "<a>\x01</a>", "<a>\x0b</a>", "<a>\x1f</a>", "<a>\ufffe</a>", "<a>\uffff</a>",
    "<a b='\x01'/>", "<a><!--\x01--></a>", "<a><![CDATA[\x01]]></a>", "<a><?p \x01?></a>", "<a><!-- -- --></a>", "<a><!-- ---></a>", "<a><!--", "<a><!-- ->", "<a><!-></a>",
    "<a><!- -></a>", "<a><!x></a>", "<a><!></a>", "<a><![CDATA[</a>", "<a><![cdata[]]></a>", "<a><![CDATA ]]></a>", "<a><![CDATA[]]", "<?xml version='1.0'?>", "<?xml?><a/>",
    "<?xml version='1.0'><a/>", "<?xml encoding='utf-8'?><a/>", "<?xml version='1.0' standalone='maybe'?><a/>", "<?xml version='1.0'encoding='utf-8'?><a/>",
    "<?xml encoding='utf-8' version='1.0'?><a/>", "<?xml version='1.0' standalone='yes' encoding='utf-8'?><a/>", "<?xml version='1.0' x='1'?><a/>", " <?xml version='1.0'?><a/>",
    "<a/><?xml version='1.0'?>", "<a><?xml version='1.0'?></a>", "<!--c--><?xml version='1.0'?><a/>", "<?XML version='1.0'?><a/>", "<?Xml?><a/>", "<? p?><a/>", "<??><a/>", "<?>", "<?p",
    "<?p?", "<?p x><a/>", "<?1?><a/>", "<?p!?><a/>", "<!DOCTYPE a><a/>", "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "<!DOCTYPE a SYSTEM 'http://127.0.0.1:1/'><a/>", "<a/><!DOCTYPE a>",
    "<a><!DOCTYPE a></a>", "<!ELEMENT a ANY><a/>", "<?xml version='1.0' encoding='utf-16'?><a/>", "<?xml version='1.0' encoding='iso-8859-1'?><a/>", "<A></a>", "\ufeff\ufeff<a/>",
    "<a>\ufeff</a>\ufeff",
]

BROKEN_BYTES = [
    b"<a>\xff</a>", b"<a>\xc3</a>", b"<a b='\xe9'/>", b"<a>\xed\xa0\x80</a>", b"<a>\xf4\x90\x80\x80</a>", b"<a>\xc0\x80</a>", b"<\xff/>", b"\xff\xfe<\x00a\x00/\x00>\x00",
    b"<a/>\xe2\x82", b"<a>\xe2\x82", b"<a><!--\xff--></a>",
]


class Refused(Exception):
    pass


def refuse(*_):
    raise Refused


def is_sound(document):
    # What expat takes for UTF-16.
    if document[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in document[:2]:
        return False
    parser = expat.ParserCreate("utf-8")
    parser.StartDoctypeDeclHandler = refuse

    def declared(version, encoding, standalone):
        # Production 26, which expat leaves unchecked.
        if encoding and encoding.lower() != "utf-8" or version and not re.fullmatch(r"1\.[0-9]+", version):
            raise Refused

    parser.XmlDeclHandler = declared
    try:
        parser.Parse(document, True)
    except (expat.ExpatError, Refused):
        return False
    return True


def mutations(count):
    draw = random.Random(1998)
    pool = [text.encode() for text in SOUND]
    alphabet = b"<>/='\"&;!?-[] \tab1#x:\x00\x01\xc3\xa9\xff"
    for _ in range(count):
        document = bytearray(draw.choice(pool))
        for _ in range(draw.choice([1, 1, 1, 2, 3])):
            at = draw.randrange(len(document) + 1)
            kind = draw.randrange(4)
            if kind == 0:
                document.insert(at, draw.choice(alphabet))
            elif kind == 1 and at < len(document):
                del document[at]
            elif kind == 2 and at < len(document):
                document[at] = draw.choice(alphabet)
            else:
                other = draw.choice(pool)
                document[at:at] = other[draw.randrange(len(other)):][:12]
        yield bytes(document)


def main():
    documents = [text.encode() for text in SOUND + BROKEN] + BROKEN_BYTES
    assert all(is_sound(text.encode()) for text in SOUND), [text for text in SOUND if not is_sound(text.encode())]
    wrong = [document for document in documents[len(SOUND):] if is_sound(document)]
    assert not wrong, wrong
    seen = dict.fromkeys([*documents, *mutations(1300)])
    cases = (f"{'+' if is_sound(document) else '-'} {document.hex()}\n" for document in seen)
    pathlib.Path(__file__).with_name("cases.txt").write_text("".join(cases))


main()
