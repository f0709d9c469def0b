"""Takes the signature, the app's advert and the mailing list's footer off the end of what was written.

Only ends are looked at, and only what a program would put there: a name under "Regards" stays.
"""

import re
from collections.abc import Sequence

from adapters.email.reading.lines import Line, Mark

_LONGEST_SIGNATURE = 30  # lines below "-- "; longer is more likely a text with a rule in it
_LONGEST_LOOSE = 12  # lines below "--" without its space
_LONGEST_FOOTER = 14

_SENT_FROM = (
    "sent from,sent via,sent with,sent using,sent by,sent on,sent through,from my iphone,from my ipad,"
    "from my mobile,someone from mobile,get outlook for,download outlook for,get the outlook app,"
    "get bluemail,get typeapp,composed with,composed on,written on my,typed on my,"
    "von meinem,von meiner,gesendet von,gesendet mit,gesendet via,gesendet aus,gesendet über,"
    "gesendet vom,"
    "diese nachricht wurde von,diese nachricht wurde mit,diese e-mail wurde von meinem,"
    "mit meinem iphone,"
    "holen sie sich outlook,outlook für,laden sie outlook,unterwegs gesendet,mobil gesendet,"
    "verfasst mit,"
    "envoyé de,envoyé depuis,envoyé à partir,envoyé avec,envoyé par,envoyé via,envoyé du,"
    "envoyée depuis,envoyé d’,envoyé d',"
    "télécharger outlook,télécharger outlook pour,obtenez outlook,obtenir outlook,"
    "enviado desde,enviado con,enviado vía,enviado por mi,enviado por,enviado mediante,obtener outlook,"
    "obtén outlook,"
    "descargar outlook,enviado a través,"
    "inviato da,inviato dal,inviato con,inviato tramite,inviato via,ottieni outlook,scarica outlook,"
    "enviado do,enviado da,enviado de,enviado pelo,enviado através,enviado via,enviado a partir,"
    "enviado com,"
    "obter o outlook,obtenha o outlook,baixar o outlook,baixe o outlook,transferir o outlook,"
    "verstuurd vanaf,verstuurd vanuit,verstuurd met,verstuurd via,verzonden vanaf,verzonden met,"
    "verzonden via,"
    "verzonden vanuit,verzonden door,outlook voor,download outlook,"
    "skickat från,skickades från,skickat via,skickat med,skickat av,hämta outlook,sänt från,"
    "sendt fra,sendt via,sendt med,hent outlook,få outlook,skaff deg outlook,last ned outlook,"
    "lähetetty,hanki outlook,"
    "wysłane z,wysłano z,wysłano za,wysłane za,pobierz outlook,pobierz program outlook,"
    "pobierz aplikację outlook,uzyskaj outlook,uzyskaj program outlook,"
    "odesláno z,odesláno ze,odesláno pomocí,odoslané z,odoslané zo,odoslané pomocou,získat outlook,"
    "získejte outlook,"
    "získajte outlook,získať outlook,stáhnout outlook,"
    "poslano s,poslano sa,poslano iz,poslano z,poslato sa,poslato iz,послато са,nabavite outlook,"
    "preuzmite outlook,"
    "pridobite outlook,prenesite outlook,"
    "отправлено с,отправлено из,отправлено от,отправлено через,отправлено со,послано с,"
    "получить outlook,скачать outlook,"
    "скачайте outlook,надіслано з,надіслано із,надіслано зі,відправлено з,відправлено із,"
    "надіслано через,"
    "отримати outlook,завантажити outlook,завантажте outlook,изпратено от,изпратено чрез,"
    "изтегляне на outlook,"
    "发自我的,来自我的,發自我的,來自我的,从我的,從我的,发送自,傳送自,寄自我的,獲取 outlook,"
    "获取 outlook,取得 outlook,下载 outlook,通过我的,"
    "나의 iphone,내 iphone,나의 ipad,내 ipad,삼성 갤럭시,iphoneから,ipadから,androidから,"
    "elküldve,küldve,az outlook,outlook letöltése,"
    "trimis de pe,trimis din,trimis de la,trimis prin,trimis cu,obțineți outlook,descărcați outlook,"
    "obţineţi outlook,"
    "στάλθηκε από,εστάλη από,απεστάλη από,σταλμένο από,αποκτήστε το outlook,λήψη του outlook,"
    "κατεβάστε το outlook,"
    "saadetud minu,saadetud,hangi outlook,išsiųsta iš,išsiųsta naudojant,nosūtīts no,gaukite outlook,"
    "iegūt outlook,"
    "נשלח מ,נשלח באמצעות,נשלח מה,קבל את outlook,הורד את outlook,"
    "أرسلت من,أُرسلت من,تم الإرسال من,مرسل من,أرسل من,ارسلت من,الحصول على outlook,احصل على outlook,"
    "ارسال شده از,"
    "enviat des,enviat amb,obteniu outlook,dikirim dari,terkirim dari,dapatkan outlook,dihantar dari,"
    "đã gửi từ,được gửi từ,gửi từ,tải outlook,ส่งจาก,รับ outlook,sent úr,sent frá,मेरे iphone से,"
    "yahoo mail:,yahoo mail :,virus-free.,virenfrei.,garanti sans virus,libre de virus,"
    "privo di virus.,"
    "this email has been checked for viruses,diese e-mail wurde von avast,"
    "l'absence de virus dans ce courrier"
)
_SENT_FROM_ENDINGS = (
    "gesendet,gesendet.,verschickt,gönderildi,gönderilmiştir,gönderildi.,傳送,传送,发送,發送,寄出,發出,"
    "から送信,から送信しました,より送信,から送信。,"
    "에서 보냄,에서 보냈습니다,에서 보낸 메일,에서 보냄.,küldve,elküldve,küldve.,edinin,indirin,を入手,"
    "をダウンロード,をインストール,"
    "다운로드,가져오기,받기,verstuurd,verzonden,downloaden,ophalen,herunterladen,beziehen,abrufen,"
    "letöltése,beszerzése,से भेजा गया"
)
# A single device or app, and nothing to be told about it.
_PREFIXES = tuple(word.strip() for word in _SENT_FROM.split(",") if word.strip())
_ENDINGS = tuple(word.strip() for word in _SENT_FROM_ENDINGS.split(",") if word.strip())
_APPS = re.compile(
    r"(?<![a-z])(?:phone|ipod|iphon\w*|ipad\w*|t[ée]l[ée]phone|teléfono|android\w*|outlook|mail|gmail|yahoo|samsung|galaxy|blackberry\w*|htc|nokia|huawei|"
    r"xiaomi|lumia|windows|mobile|mobil\w*|handy|smartphone|phone|tablet|mobil|telefon\w*|móvil|celular|proton\w*|thunderbird|"
    r"spark|airmail|mailbird|k-9|typeapp|bluemail|aol|gmx|web\.de|zoho|tutanota|aquamail|nine|newton|hey|superhuman|pc|mac|watch)(?![a-z])"
    r"|手机|手機|携帯|スマホ|휴대폰|айфон\w*|телефон\w*|смартфон\w*",
    re.IGNORECASE,
)
_LINK = re.compile(r"<?\[?(?:https?://|mailto:)[^\s<>\]]{0,400}[>\])]*|\(https?://[^\s()]{0,400}\)")
_EXCUSE = re.compile(
    r"[.,;:–—-]?\s+(?:please |pls )?(?:excuse|pardon|forgive|sorry for|apologies for|"
    r"bitte entschuldig\w*)\b.{0,120}$",
    re.IGNORECASE,
)
_MARKUP = str.maketrans("", "", "*_[]()<>\u200e\u200f\u202a\u202b\u202c")
_RULES = frozenset("-_=*#~+—–─━.•ᐧ·‐‑ ")
_FOOTER = re.compile(
    r"mailing list|mailinglist|/listinfo|/mailman|unsubscribe|google groups|abmelden|abbestellen|"
    r"se désabonner|désinscri|darse de baja|cancelar la suscripci|disiscriv|cancellarsi|cancelar inscri|"
    r"afmelden|uitschrijven|avregistrera|avprenumerera|meld deg av|afmeld|peruuta tilaus|wypisa|"
    r"odhlásit|отписаться|відписатися|aboneliğinizi|退订|配信停止|수신거부|"
    r"list archives|groups\.io|list info",
    re.IGNORECASE,
)
_FOOTER_STARTS = (
    "to unsubscribe",
    "unsubscribe:",
    "unsubscribe from",
    "you received this message because",
    "you are receiving this",
    "you're receiving this",
    "reply to this email directly",
    "to stop receiving",
    "to post to this group",
    "to view this discussion",
    "um sich abzumelden",
    "pour se désabonner",
    "pour vous désabonner",
    "para darse de baja",
    "per annullare l'iscrizione",
    "para cancelar",
)


# A lawyer's paragraph: how it begins, that it speaks of secrets, and for whom it is meant.
_DISCLAIMER_STARTS = (
    "this e-mail,this email,this mail,this message,this communication,this transmission,the information,"
    "the contents,the content,information in this,confidentiality,confidential,disclaimer,legal notice,"
    "notice:,important notice,privileged,if you are not the,diese e-mail,diese mail,diese nachricht,"
    "die information,der inhalt,dieses e-mail,vertraulichkeit,haftungsausschluss,ce message,ce courriel,"
    "cet e-mail,cet email,ce mail,les informations,le présent,avis de confidentialité,este mensaje,"
    "este correo,este e-mail,"
    "este email,la información,aviso legal,esta mensagem,as informações,aviso de confidencialidade,"
    "questo messaggio,questa e-mail,questa mail,questa email,le informazioni,il contenuto,ai sensi,"
    "deze e-mail,dit e-mailbericht,dit bericht,deze mail,de informatie,niniejsza wiadomość,"
    "ta wiadomość,treść tej,это сообщение,настоящее сообщение,данное сообщение,информация,"
    "detta meddelande,detta e-postmeddelande,denne e-post,denne e-mail,denne meddelelse,tämä viesti"
)
_SECRET = re.compile(
    r"confiden|privileged|vertraulich|riservat|vertrouwelijk|poufn|конфиденц|konfident|fortrolig|luottamuksel",
    re.IGNORECASE,
)
_FOR_WHOM = re.compile(
    r"intended|recipient|addressee|addressed|empfänger|adressat|bestimmt|destinat|adresat|ontvanger|"
    r"geadresseerde|получател|адресат|mottagare|mottaker|modtager|vastaanottaj",
    re.IGNORECASE,
)
_DISCLAIMERS = tuple(words.strip() for words in _DISCLAIMER_STARTS.split(",") if words.strip())
_SHORTEST_DISCLAIMER, _LONGEST_DISCLAIMER = 100, 4000  # characters


def strip(lines: Sequence[Line], *, below_quote: bool = False) -> list[Line]:
    """`lines` without what programs put at their end. `below_quote`: an old mail stands above them."""
    kept = list(lines)
    while True:
        before = len(kept)
        kept = _drop_trailing_rules(kept)
        kept = _drop_program_marks(kept)
        kept = _drop_adverts(kept)
        kept = _drop_dashed(kept, below_quote)
        kept = _drop_footer(kept)
        kept = _drop_disclaimer(kept)
        if len(kept) == before:
            return kept


def is_advert(text: str) -> bool:
    """Whether the line is "Sent from my phone" or its like, in any of the languages."""
    if len(text) > 400:
        return False
    lowered = text.translate(_MARKUP).lower().lstrip(" -")
    by_start = lowered.startswith(_PREFIXES)
    if not by_start and not text.lower().rstrip("*_])> ").endswith(_ENDINGS):
        return False
    bare = _EXCUSE.sub("", _LINK.sub(" ", text)).translate(_MARKUP).strip(" .,!")
    words = bare.split()
    if len(words) > 10 or len(bare) > 90:
        return False
    named = _APPS.search(bare) is not None
    if by_start and lowered.startswith("sent from"):
        return "," not in bare and (named or len(words) <= 6)
    return named


def is_rule(text: str) -> bool:
    """Whether the line holds nothing but two or more rule characters (or the mark that Streak leaves)."""
    return (len(text) >= 2 or text == "ᐧ") and _RULES.issuperset(text)


def _drop_trailing_rules(lines: list[Line]) -> list[Line]:
    end = len(lines)
    while (
        end
        and lines[end - 1].mark is not Mark.CODE
        and (not lines[end - 1].text or (is_rule(lines[end - 1].text) and not lines[end - 1].depth))
    ):
        end -= 1
    return lines[:end]


def _drop_program_marks(lines: list[Line]) -> list[Line]:
    """Lines that the HTML calls a signature, unless they are so many that someone wrote in there."""
    marked = [line for line in lines if line.mark is Mark.SIGNATURE]
    if not marked or sum(len(line.text) for line in marked) > 1500:
        return lines
    return [line for line in lines if line.mark is not Mark.SIGNATURE]


def _drop_adverts(lines: list[Line]) -> list[Line]:
    end = len(lines)
    while end and (not lines[end - 1].text or _is_own_advert(lines[end - 1])):
        end -= 1
    return lines[:end]


def _is_own_advert(line: Line) -> bool:
    return not line.depth and line.mark is not Mark.CODE and is_advert(line.text)


def _drop_dashed(lines: list[Line], below_quote: bool) -> list[Line]:
    """The signature below "-- " (RFC 3676 section 4.3), or below "--" or a rule where it is short."""
    for place in range(len(lines) - 1, max(-1, len(lines) - _LONGEST_SIGNATURE - 20), -1):
        line = lines[place]
        if line.depth or line.mark is Mark.CODE:
            break
        loose = line.text in ("--", "—", "__") or (below_quote and len(line.text) >= 5 and is_rule(line.text))
        if not loose:
            continue
        below = [other.text for other in lines[place + 1 :] if other.text]
        if line.raw == "-- ":
            fits = len(below) <= _LONGEST_SIGNATURE
        else:
            fits = _reads_as_signature(below) and all(other.text != line.text for other in lines[:place])
        if fits and not _continues_patch(lines, place):
            return lines[:place]
    return lines


def _reads_as_signature(texts: Sequence[str]) -> bool:
    """Few and short lines, none of which asks something."""
    return len(texts) <= _LONGEST_LOOSE and all(len(text) <= 90 and text[-1] not in "?!" for text in texts)


def _continues_patch(lines: list[Line], place: int) -> bool:
    """In a patch "--" is a removed line when more of the patch follows."""
    return any(line.raw.startswith(("diff --git ", "@@ -", "+++ ")) for line in lines[place + 1 :]) or (
        any(line.raw.startswith("@@ -") for line in lines[:place])
        and any(line.raw.startswith(("+", "- ")) for line in lines[place + 1 :])
    )


def _drop_footer(lines: list[Line]) -> list[Line]:
    """A list's footer: a rule with words about the list below, or a last paragraph of such words."""
    first = max(0, len(lines) - _LONGEST_FOOTER)
    for place in range(first, len(lines)):
        line = lines[place]
        if line.depth or line.mark is Mark.CODE:
            continue
        below = " ".join(other.text for other in lines[place + 1 : place + 5])
        if is_rule(line.text) and _FOOTER.search(below[:1000]):
            return lines[:place]
        if line.text.lower().startswith(_FOOTER_STARTS) and (place == 0 or not lines[place - 1].text):
            return lines[:place]
    return lines


def _drop_disclaimer(lines: list[Line]) -> list[Line]:
    """The lawyer's paragraph at the very end, which no person has written."""
    start = end = len(lines)
    while start and lines[start - 1].text and not lines[start - 1].depth:
        start -= 1
        if lines[start].mark is Mark.CODE or end - start > _LONGEST_SIGNATURE:
            return lines
    if not start:
        return lines  # it is all that there is
    text = " ".join(line.text for line in lines[start:])
    if not _SHORTEST_DISCLAIMER <= len(text) <= _LONGEST_DISCLAIMER:
        return lines
    begins = text.translate(_MARKUP).lower().lstrip(" -").startswith(_DISCLAIMERS)
    return lines[:start] if begins and _SECRET.search(text) and _FOR_WHOM.search(text) else lines
