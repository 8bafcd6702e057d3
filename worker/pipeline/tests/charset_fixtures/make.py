"""Write what Python's codecs make of the encodings that both they and the WHATWG standard know.

single.txt: a name, and for each byte its character in hexadecimal, or `-` where Python refuses it.
multi.txt: a name, bytes in hexadecimal, and the UTF-8 of their text in hexadecimal.
"""

import pathlib

# WHATWG name: Python's. Python's iso8859_8 is that of both names.
SINGLE = {
    "IBM866": "cp866",
    "ISO-8859-2": "iso8859_2",
    "ISO-8859-3": "iso8859_3",
    "ISO-8859-4": "iso8859_4",
    "ISO-8859-5": "iso8859_5",
    "ISO-8859-6": "iso8859_6",
    "ISO-8859-7": "iso8859_7",
    "ISO-8859-8": "iso8859_8",
    "ISO-8859-8-I": "iso8859_8",
    "ISO-8859-10": "iso8859_10",
    "ISO-8859-13": "iso8859_13",
    "ISO-8859-14": "iso8859_14",
    "ISO-8859-15": "iso8859_15",
    "ISO-8859-16": "iso8859_16",
    "KOI8-R": "koi8_r",
    "macintosh": "mac_roman",
    "windows-874": "cp874",
    "windows-1250": "cp1250",
    "windows-1251": "cp1251",
    "windows-1252": "cp1252",
    "windows-1253": "cp1253",
    "windows-1254": "cp1254",
    "windows-1255": "cp1255",
    "windows-1256": "cp1256",
    "windows-1257": "cp1257",
    "windows-1258": "cp1258",
}

MULTI = {
    "Shift_JIS": ("cp932", "請求書, ソフト表示 ｱｲｳ\r\n株式会社 ① ～ ー\n"),
    "EUC-JP": ("euc_jp", "請求書, ソフト表示 ｱｲｳ\n株式会社 ー\n"),
    "ISO-2022-JP": ("iso2022_jp", "請求書, ソフト表示\n株式会社 ー plain\n"),
    "EUC-KR": ("cp949", "주문번호, 수량\n똠방각하 펲시콜라 €\n"),
    "GBK": ("gbk", "订单, 数量\n發票 镕 一丁七\n"),
    "gb18030": ("gb18030", "订单, 数量\n發票 ß 😀 ᠠ \U00020000\n"),
    "Big5": ("big5", "訂單, 數量\n發票 一丁七 功蓋許\n"),
    "UTF-16LE": ("utf_16_le", "größe, 数量\r\n😀 \u0a0a\u0d0a end\n"),
    "UTF-16BE": ("utf_16_be", "größe, 数量\r\n😀 \u0a0a\u0d0a end\n"),
    "UTF-8": ("utf_8", "größe, 数量\n😀\n"),
    "KOI8-U": ("koi8_u", "Привіт, ґанок\n"),
    "x-mac-cyrillic": ("mac_cyrillic", "Привет, мир\n"),
}


def character(byte, codec):
    try:
        return f"{ord(bytes([byte]).decode(codec)):x}"
    except UnicodeDecodeError:
        return "-"


here = pathlib.Path(__file__).parent
with open(here / "single.txt", "w") as file:
    for name, codec in SINGLE.items():
        print(name, *(character(byte, codec) for byte in range(256)), file=file)
with open(here / "multi.txt", "w") as file:
    for name, (codec, text) in MULTI.items():
        print(name, text.encode(codec).hex(), text.encode().hex(), file=file)
