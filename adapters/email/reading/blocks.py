"""Header blocks (From, Sent, To, Subject) and separator lines that programs put above an old mail.

Labels are kept by kind, all languages in one table: what counts is that several kinds stand
together, not which language they are in.
"""

import re
from collections.abc import Sequence
from enum import Enum

from adapters.email.reading.lines import Line, Mark

_FARTHEST = 16  # lines that one block may take
_LONGEST_LABEL = 30


class Label(Enum):
    """What a header line is about."""

    FROM = "from"
    DATE = "date"
    TO = "to"
    CC = "cc"
    SUBJECT = "subject"
    OTHER = "other"


class Separator(Enum):
    """What a separator line announces."""

    ORIGINAL = "original"
    FORWARDED = "forwarded"


_WORDS = {
    Label.FROM: (
        "from,von,absender,de,expéditeur,remitente,da,mittente,van,afzender,från,avsändare,fra,"
        "afsender,avsender,"
        "lähettäjä,od,nadawca,odesílatel,odosielateľ,pošiljatelj,pošiljalac,pošiljatelj,от,отправитель,"
        "šalje,шаље,від,відправник,од,пошиљалац,подател,kimden,gönderen,发件人,寄件者,寄件人,發件人,"
        "差出人,送信者,"
        "送信元,보낸 사람,보낸사람,발신,발신인,보낸이,feladó,küldő,από,αποστολέας,de la,expeditor,"
        "remetente,saatja,"
        "kellelt,nuo,siuntėjas,no,sūtītājs,מאת,من,המוען,frá,dari,pengirim,từ,người gửi,จาก,از,প্রেরক,"
        "प्रेषक,从"
    ),
    Label.DATE: (
        "sent,date,sent on,date sent,sent at,received,gesendet,datum,gesendet am,erstellt,envoyé,"
        "envoyé le,"
        "date d'envoi,message du,enviado,enviado el,enviado em,enviada,enviada em,enviada el,fecha,"
        "data,inviato,inviato il,data invio,verzonden,verzonden op,skickat,skickades,sendt,dato,"
        "lähetetty,"
        "päivämäärä,päiväys,pvm,wysłano,wysłane,data wysłania,odesláno,odoslané,odoslaná,dátum,poslano,"
        "poslato,отправлено,дата,дата отправки,надіслано,відправлено,изпратено,gönderildi,"
        "gönderilme tarihi,"
        "gönderme tarihi,tarih,发送时间,发送日期,日期,寄件日期,傳送時間,傳送日期,已傳送,发件时间,時間,"
        "时间,"
        "送信日時,日時,日付,送信日,보낸 날짜,보낸날짜,보낸 시간,날짜,일시,발신일,küldve,elküldve,"
        "küldés dátuma,στάλθηκε,εστάλη,"
        "ημερομηνία,trimis,dată,trimis la,data trimiterii,saadetud,kuupäev,saatmisaeg,išsiųsta,"
        "nosūtīts,datums,"
        "נשלח,תאריך,תאריך שליחה,تاريخ الإرسال,التاريخ,تم الإرسال,مرسل,dikirim,terkirim,tanggal,đã gửi,"
        "ngày,gửi,"
        "ส่ง,วันที่,ส่งเมื่อ,تاریخ,दिनांक,enviat,dagsetning,send"
    ),
    Label.TO: (
        "to,an,empfänger,à,a,pour,para,destinatario,destinataire,destinatário,aan,ontvanger,till,til,"
        "mottagare,modtager,mottaker,vastaanottaja,do,adresat,komu,příjemce,príjemca,prima,primatelj,"
        "za,"
        "prejemnik,кому,до,получатель,одержувач,за,прима,kime,alıcı,收件人,收件者,宛先,送信先,"
        "받는 사람,받는사람,"
        "수신,수신인,받는이,címzett,προς,παραλήπτης,către,catre,la,kellele,saaja,kam,adresāts,gavėjas,"
        "אל,אל,נמען,"
        "إلى,الى,per a,per,kepada,ke,đến,tới,người nhận,ถึง,به,到,प्रति,प्राप्तकर्ता,à l'attention de,"
        "aan:"
    ),
    Label.CC: (
        "cc,c.c.,bcc,cci,cco,ccn,kopie,kopie an,copie,copie à,copie carbone,copia,cópia,con copia,"
        "kopia,kopi,"
        "kopi til,kopio,dw,do wiadomości,dow,kópia,másolat,másolatot kap,копия,копія,копие,bilgi,抄送,"
        "副本,"
        "참조,숨은참조,koopia,κοιν.,κοινοποίηση,κοιν,העתק,עותק,نسخة,kp,tembusan,สำเนา,salin,kopija,"
        "kpija,"
        "กับ,رونوشت,đồng gửi,afrit"
    ),
    Label.SUBJECT: (
        "subject,re,betreff,betr.,objet,sujet,asunto,assunto,oggetto,onderwerp,ämne,emne,aihe,otsikko,"
        "temat,"
        "předmět,predmet,тема,относно,предмет,konu,主题,主旨,主題,件名,标题,標題,제목,tárgy,θέμα,"
        "subiect,teema,"
        "tēma,temats,tema,נושא,הנדון,الموضوع,موضوع,subjek,perihal,chủ đề,tiêu đề,เรื่อง,หัวเรื่อง,"
        "naslov,"
        "zadeva,assumpte,efni,विषय,subyek"
    ),
    Label.OTHER: (
        "reply-to,reply to,antwort an,répondre à,responder a,rispondi a,risposta,antwoord aan,"
        "svara till,"
        "svar til,vastausosoite,odpowiedz do,odpověď na,importance,priority,wichtigkeit,priorität,"
        "importanza,"
        "attachments,attachment,anlagen,anlage,anhang,pièces jointes,piece jointe,allegati,allegato,"
        "adjuntos,"
        "datos adjuntos,anexos,bijlagen,bilagor,vedlegg,vedhæftet fil,liitteet,załączniki,přílohy,"
        "вложения,"
        "ekler,附件,添付ファイル,첨부파일,첨부 파일,מצורפים,organization,organisation,sender,"
        "resent-from,"
        "resent-to,mailing list,newsgroups,on behalf of,im auftrag von,categories,message-id,x-mailer,"
        "list-id,priorité,responder para,responder-a,ответить,odpowiedź do,répondre"
    ),
}
_LABELS = {word.strip(): label for label, words in _WORDS.items() for word in words.split(",")}

_ORIGINAL = (
    "original message,replied message,回复的原邮件,回复的邮件,回覆的郵件,original mail,original e-mail,"
    "original email,original,ursprüngliche nachricht,"
    "originalnachricht,original-nachricht,originalmail,ursprungliche nachricht,ursprüngliche mail,"
    "message d'origine,message original,message initial,mail original,"
    "courriel d'origine,mensaje original,mensaje original:,messaggio originale,messaggio originario,"
    "mensagem original,oorspronkelijk bericht,oorspronkelijke bericht,origineel bericht,"
    "originalmeddelande,"
    "ursprungligt meddelande,opprinnelig melding,original melding,originalmelding,"
    "oprindelig meddelelse,"
    "oprindelig besked,original meddelelse,original besked,den oprindelige meddelelse,"
    "alkuperäinen viesti,"
    "oryginalna wiadomość,wiadomość oryginalna,wiadomość pierwotna,pierwotna wiadomość,původní zpráva,"
    "původní e-mail,pôvodná správa,originalna poruka,izvorna poruka,izvirno sporočilo,"
    "оригинална порука,"
    "исходное сообщение,исходное письмо,оригинальное сообщение,первоначальное сообщение,"
    "оригинал сообщения,оригінальне повідомлення,вихідне повідомлення,початкове повідомлення,"
    "оригинално съобщение,orijinal mesaj,özgün mesaj,özgün ileti,orijinal ileti,orjinal mesaj,原始邮件,"
    "原始郵件,原邮件,原始信件,原始訊息,原始消息,邮件原件,元のメッセージ,元のメール,"
    "オリジナルメッセージ,"
    "원본 메시지,원본 메일,원본메일,원본 메세지,원래 메시지,eredeti üzenet,eredeti levél,αρχικό μήνυμα,"
    "πρωτότυπο μήνυμα,mesaj original,mesajul original,mesajul inițial,mesaj inițial,algne sõnum,"
    "originaalkiri,"
    "algne kiri,originalus laiškas,sākotnējais ziņojums,oriģinālais ziņojums,הודעה מקורית,"
    "ההודעה המקורית,"
    "הודעת מקור,الرسالة الأصلية,رسالة أصلية,پیام اصلی,missatge original,pesan asli,mesej asal,"
    "tin nhắn gốc,thư gốc,ข้อความต้นฉบับ,ข้อความเดิม,upprunaleg skilaboð,मूल संदेश,reply message,reply,"
    "antwort,réponse,"
    "urspr. nachricht,replied message,message transféré d'origine,previous message,reply to message"
)
_FORWARDED = (
    "forwarded message,forwarded mail,forwarded email,begin forwarded message,forwarded by,"
    "forward message,"
    "start of forwarded message,begin forwarded mail,forwarded,"
    "weitergeleitete nachricht,weitergeleitete mail,weitergeleitete e-mail,"
    "anfang der weitergeleiteten nachricht,anfang der weitergeleiteten e-mail,"
    "beginn der weitergeleiteten nachricht,"
    "message transféré,message transmis,message réexpédié,début du message transféré,"
    "début du message réexpédié,courriel transféré,mensaje reenviado,mensaje remitido,"
    "inicio del mensaje reenviado,inicio del mensaje,comienzo del mensaje reenviado,"
    "messaggio inoltrato,"
    "inizio messaggio inoltrato,inizio del messaggio inoltrato,mensagem encaminhada,"
    "mensagem reencaminhada,início da mensagem encaminhada,início da mensagem reencaminhada,"
    "inicio da mensagem encaminhada,doorgestuurd bericht,begin doorgestuurd bericht,"
    "begin van doorgestuurd bericht,doorgezonden bericht,vidarebefordrat meddelande,"
    "vidarebefordrat brev,"
    "vidarebefordrat mejl,påbörja vidarebefordrat meddelande,videresendt melding,"
    "start på videresendt melding,"
    "videresendt meddelelse,videresendt besked,start på videresendt besked,begynd videresendt besked,"
    "begynder videresendt besked,videresendt mail,edelleenlähetetty viesti,välitetty viesti,"
    "välitetty viesti alkaa,välitetyn viestin alku,edelleen lähetetty viesti,"
    "wiadomość przekazana dalej,"
    "przekazana wiadomość,wiadomość przekazana,treść przekazanej wiadomości,"
    "początek przekazywanej wiadomości,początek wiadomości przekazanej,przeposlaná zpráva,"
    "přeposlaná zpráva,"
    "předaná zpráva,začátek přeposílané zprávy,začátek přeposlané zprávy,preposlaná správa,"
    "začiatok preposlanej správy,proslijeđena poruka,prosleđena poruka,započni proslijeđenu poruku,"
    "posredovano sporočilo,прослеђена порука,пересылаемое сообщение,пересланное сообщение,"
    "переадресованное сообщение,перенаправленное сообщение,начало переадресованного сообщения,"
    "начало пересланного сообщения,переслане повідомлення,початок листа, що пересилається,"
    "початок пересланого повідомлення,препратено съобщение,iletilen mesaj,iletilmiş mesaj,"
    "iletilen ileti,"
    "yönlendirilen mesaj,iletilen mesajın başlangıcı,转发的邮件,转发邮件,转发邮件信息,已转发邮件,"
    "已轉寄的郵件,轉寄郵件,轉寄信件,"
    "轉寄的訊息,下面是被转发的邮件,下面是被轉發的郵件,開始轉寄郵件,以下是轉寄的郵件,开始转发邮件,"
    "転送メッセージ,転送されたメッセージ,転送メール,"
    "転送されたメッセージ,전달된 메시지,전달된 메일,전달 메시지,전달된 편지,továbbított üzenet,"
    "továbbított levél,"
    "a továbbított üzenet kezdete,προωθημένο μήνυμα,αρχή προωθημένου μηνύματος,mesaj redirecționat,"
    "mesaj redirectionat,mesaj înaintat,începutul mesajului redirecționat,"
    "începeți mesajul redirecționat,"
    "edastatud kiri,edastatud sõnum,persiųstas laiškas,pārsūtīts ziņojums,הודעה שהועברה,"
    "תחילת ההודעה שהועברה,"
    "الرسالة المعاد توجيهها,رسالة معاد توجيهها,رسالة مُعاد توجيهها,بدء الرسالة المعاد توجيهها,"
    "پیام هدایت‌شده,missatge reenviat,"
    "inici del missatge reenviat,pesan terusan,pesan yang diteruskan,mesej dimajukan,"
    "thư đã chuyển tiếp,tin nhắn đã chuyển tiếp,ข้อความที่ส่งต่อ,framsend skilaboð,अग्रेषित संदेश"
)
_ORIGINAL_WORDS = frozenset(words.strip() for words in _ORIGINAL.split(","))
_FORWARDED_WORDS = frozenset(words.strip() for words in _FORWARDED.split(",")) | {
    "початок листа, що пересилається"
}
_INVISIBLE = str.maketrans(
    "", "", "\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff*\u0307"
)
_RULE = "-=_‐‑–—─━~＿－ "
_MAILTO = re.compile(r"\S@\S")


def label(text: str) -> Label | None:
    """What the header line `text` is about, or None if it is no header line."""
    head = text[: _LONGEST_LABEL + 10]
    place = head.find(":")
    if place < 0:
        place = head.find("：")
    if not 0 < place <= _LONGEST_LABEL:
        return None
    return _LABELS.get(head[:place].lower().translate(_INVISIBLE).strip(" \t_"))


def separator(text: str) -> Separator | None:
    """Whether the line is "----- Original Message -----" or "Begin forwarded message:"."""
    if not 4 <= len(text) <= 160:
        return None
    plain = text.translate(_INVISIBLE).strip()
    bare = plain.strip(_RULE)
    if not bare or not (len(bare) < len(plain) or bare.endswith((":", "："))):
        return None
    words = bare.rstrip(":： ").lower().translate(_INVISIBLE).replace("’", "'")
    ruled = _rules_before(plain, bare) >= 2
    if words in _FORWARDED_WORDS or (ruled and words.startswith("forwarded by ")):
        return Separator.FORWARDED
    if ruled and words in _ORIGINAL_WORDS:
        return Separator.ORIGINAL
    return None


def is_ruled_title(text: str) -> bool:
    """Whether a few words stand between rules, as in "------ Xyzzy ------", in whatever language."""
    bare = text.strip(_RULE)
    return (
        0 < len(bare) <= 60
        and text.startswith(("---", "___", "==="))
        and text.endswith(("---", "___", "==="))
    )


def _rules_before(plain: str, bare: str) -> int:
    return len(plain[: plain.find(bare)].rstrip(" "))


def is_rule(text: str) -> bool:
    """Whether the line is nothing but a rule (-----, _____) of some length."""
    return len(text) >= 5 and not text.strip(_RULE) and " " not in text.strip(" ")


def find(lines: Sequence[Line], start: int, *, announced: bool) -> tuple[int, bool]:
    """The header block that begins at `start`: (the line after it, whether it is one).

    It needs three kinds of header with From among them, and a subject or an address; two kinds
    are enough below a separator (`announced`). Travel plans have From and To as well.
    """
    kinds: set[Label] = set()
    address = False
    depth = lines[start].depth
    end = start
    strangers = 0
    place = start
    stop = min(start + _FARTHEST, len(lines))
    while place < stop:
        line = lines[place]
        kind = label(line.text) if line.text and line.mark is not Mark.CODE else None
        if line.depth != depth:
            break
        if kind is not None:
            kinds.add(kind)
            kinds.update(_more_labels(line.text))
            address = address or _MAILTO.search(line.text[:400]) is not None
            end, strangers = place + 1, 0
        elif line.text:
            strangers += 1  # a header's second line
            address = address or _MAILTO.search(line.text[:400]) is not None
            if strangers > 2:
                break
        elif Label.SUBJECT in kinds or not (place + 1 < stop and label(lines[place + 1].text)):
            break
        place += 1
    if strangers and strangers <= 2 and place < len(lines) and not lines[place].text and place - end <= 1:
        end = place  # the subject's second line
    return end, _enough(kinds, address, announced)


def _enough(kinds: set[Label], address: bool, announced: bool) -> bool:
    if Label.FROM not in kinds:
        return False
    if announced:
        return len(kinds) >= 2
    return len(kinds) >= 3 and (Label.SUBJECT in kinds or (address and Label.DATE in kinds))


def _more_labels(text: str) -> set[Label]:
    """Further labels on one line, as Samsung's program writes them ("À : x@y.be Objet : Bonjour")."""
    if text.count(":") < 2 or len(text) > 400:
        return set()
    words = text.replace(" :", ":").split()
    found = (_LABELS.get(word[:-1].lower()) for word in words[1:] if word.endswith(":"))
    return {kind for kind in found if kind is not None}
