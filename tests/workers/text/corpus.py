"""Ordinary text in many languages: prose, and what stands in it beside words."""

from collections.abc import Mapping

PROSE: Mapping[str, str] = {  # the first article of the Universal Declaration of Human Rights
    "en-US": "All human beings are born free and equal in dignity and rights. They are endowed with reason and "
    "conscience and should act towards one another in a spirit of brotherhood.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen "
    "begabt und sollen einander im Geist der Brüderlichkeit begegnen.",
    "fr-FR": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison "
    "et de conscience et doivent agir les uns envers les autres dans un esprit de fraternité.",
    "es-ES": "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de "
    "razón y conciencia, deben comportarse fraternalmente los unos con los otros.",
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и "
    "совестью и должны поступать в отношении друг друга в духе братства.",
    "el": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. Είναι "
    "προικισμένοι με λογική και συνείδηση, και οφείλουν να συμπεριφέρονται μεταξύ τους με πνεύμα αδελφοσύνης.",
    "he": "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם. כולם חוננו בתבונה ובמצפון, לפיכך חובה עליהם "
    "לנהוג איש ברעהו ברוח של אחווה.",
    "ar": "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميرًا وعليهم أن يعامل بعضهم "
    "بعضًا بروح الإخاء.",
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। उन्हें बुद्धि और अन्तरात्मा "
    "की देन प्राप्त है और परस्पर उन्हें भाईचारे के भाव से बर्ताव करना चाहिए।",
    "th": "ทุกคนเกิดมามีอิสระ เสมอภาคกันในเกียรติศักดิ์ และสิทธิ ต่างมีเหตุผล และมโนธรรม และควรปฏิบัติต่อกัน ด้วยเจตนารมณ์ "
    "แห่งภราดรภาพ",
    "ja": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は、理性と良心とを"
    "授けられており、互いに同胞の精神をもって行動しなければならない。",
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성과 양심을 "
    "부여받았으며 서로 형제애의 정신으로 행동하여야 한다.",
    "zh-CN": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
    "tr": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana sahiptirler ve "
    "birbirlerine karşı kardeşlik zihniyeti ile hareket etmelidirler.",
    "vi": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền. Mọi con người đều được "
    "tạo hoá ban cho lý trí và lương tâm và cần phải đối xử với nhau trong tình bằng hữu.",
    "am": "የሰው ልጅ ሁሉ ሲወለድ ነጻና በክብርና በመብትም እኩልነት ያለው ነው። የተፈጥሮ ማስተዋልና ሕሊና ስላለው አንዱ ሌላውን "
    "በወንድማማችነት መንፈስ መመልከት ይገባዋል።",
    "ka": "ყველა ადამიანი იბადება თავისუფალი და თანასწორი თავისი ღირსებითა და უფლებებით. მათ მინიჭებული აქვთ "
    "გონება და სინდისი და ერთმანეთის მიმართ უნდა იქცეოდნენ ძმობის სულისკვეთებით.",
    "hy": "Բոլոր մարդիկ ծնվում են ազատ ու հավասար՝ իրենց արժանապատվությամբ և իրավունքներով։ Նրանք ունեն "
    "բանականություն ու խիղճ, և միմյանց պետք է եղբայրաբար վերաբերվեն։",
    "ta": "மனிதப் பிறிவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர்; அவர்கள் மதிப்பிலும், உரிமைகளிலும் சமமானவர்கள், "
    "அவர்கள் நியாயத்தையும் மனச்சாட்சியையும் இயற்பண்பாகப் பெற்றவர்கள்.",
}

ORDINARY: tuple[tuple[str, str], ...] = (
    ("en-US", "Dr. Smith, Ph.D., met Mr. and Mrs. J. R. R. Jones of the U.S.A., the U.S.S.R. and the N.A.A.C.P. at 5 p.m."),
    ("en-US", "E.g. this, i.e. that, a.k.a. the other, etc. The R.S.V.P. said a.s.a.p., please."),
    ("en-US", "It cost $1,234,567.89 on 2024-11-30 at 15:49:05, or 12/31/1999, or 3.14159 times 100 %."),
    ("en-US", "Call +1 (555) 123-4567, card 1234 5678 9012 3456, IP 192.168.100.200, ISBN 978-3-16-148410-0."),
    ("en-US", "1000000000000 is one trillion; 123456789012 has twelve digits; 999,999,999,999 has them too."),
    ("en-US", "Mail jane.doe+news@example.co.uk or see https://www.example.com/a/b?c=d&e=f#top (v2.10.3)."),
    ("en-US", "The 1st, 2nd, 3rd and 21st of King Henry VIII, Louis XIV and MMXXIV; iPhone, McDonald, NASA, HTTP/2."),
    ("en-US", 'He said, "Wait… what?!" (Really [yes] {no}.) — "I\'m fine," she\'d answered; don\'t, won\'t, y\'all\'d\'ve.'),
    ("en-US", "well-known state-of-the-art mother-in-law's rock-'n'-roll; and/or; A–Z; 50–60; 24/7; AT&T; C++; C#; R&D"),
    ("en-US", "Nooooo! Aaaargh!!! Hmmmm... Yesssss :-) ;) <3 ^_^ 😀😀😀 👩‍👩‍👧 👍🏽 🇺🇸🇩🇪 ❤️ ©®™ ½ ² 20 °C ±5 €10 £20 ¥30 #hashtag @user"),
    ("en-US", "Title\n=====\n\n* one\n* two\n\n----------\n\n1. First\n2. Second\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"),
    ("en-US", f"A chapter\n{'=' * 72}\n\nIts text.\n{'*' * 60}\n{'#' * 80}\nThe end.\n"),
    ("en-US", "Pi is 3.14159265358979323846; x = 0.1 + 0.2 == 0.30000000000000004; 6,02214076000000001."),
    ("en-US", "The U.S.A., U.K., U.A.E., N.Z. and I.T.V., C.N.N., B.B.C. at 9 a.m., 5 p.m., 10 a.m., 6 p.m."),
    ("it", "La Rossi S.p.A., S.r.l., a.C., d.C., S.p.A., ecc."),
    ("ru", "В Р.С.Ф.С.Р., С.С.С.Р. и т.д., и т.п., т.е."),
    ("en-US", f"A heading\n{'=' * 88}\n\nIts text.\n// {'=' * 28} section {'=' * 28}\nAfter.\n"),
    ("en-US", "Wow!!!!!!!!!!!! What???!!!???!!!???!!! Oh!!!!!!!!!!!!!!!!!!!!"),
    ("es-ES", "¡¡¡¡¡¡¡¡¡¡¡¡Qué gol!!!!!!!!!!!! ¿¿¿¿¿¿¿¿¿¿¿¿Qué????????????"),
    ("en-US", f"| Name | Description | Price |\n|{'-' * 22}|{'-' * 60}|{'-' * 9}|\n| A | B | 3 |\n"),
    ("de", "Die Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft von 1923."),
    ("en-US", "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 17 18 19 20 21 22 23 24 2019 2020 2021 2022 2023"),
    ("en-US", "pneumonoultramicroscopicsilicovolcanoconiosis, antidisestablishmentarianism, Llanfairpwllgwyngyll"),
    ("en-US", "In Greek Ἀχιλλεύς, in Russian здравствуйте, in Hebrew שלום, in Arabic السلام عليكم, in Hindi नमस्ते, 你好, こんにちは."),
    ("de", "Die z.B. im 19. Jh. u.a. von Prof. Dr. h.c. K. F. W. Müller GmbH & Co. KG usw. d.h. ca. 1.234,56 € am 24.12.2024."),
    ("de", "Rindfleischetikettierungsüberwachungsaufgabengesetz, Donaudampfschifffahrtsgesellschaftskapitän"),
    ("fr-FR", "Le 1er janvier à 20 h 30, 12 345 678,90 € ; « l'été », qu'aujourd'hui l'on n'a pas vu : S.N.C.F., c.-à-d. etc."),
    ("ru", "В 2024 г. и т.д., и т.п., т.е. 1 234 567,89 руб.; СССР, С.С.С.Р., А. С. Пушкин, ул. Ленина, д. 5, кв. 12."),
    ("el", "Π.χ. ο κ. Παπαδόπουλος, Δ.Ε.Η., 12.345,67 ευρώ, κ.λπ., μ.Χ."),
    ("he", 'צה"ל, ארה"ב, ד"ר כהן, 12:30, 1,234.50 ש"ח, וכו\'.'),
    ("ar", "د. أحمد، ١٢٣٤٥ دولارًا، ٣٫١٤، ٢٠٢٤/١١/٣٠، إلخ."),
    ("hi", "डॉ. शर्मा, १२,३४,५६७ रुपये, 12,34,567 रुपये, 3.5 कि.मी., बी.बी.सी."),
    ("bn", "মি. রহমান ১২৩৪৫ টাকা দিলেন।"),
    ("th", "ดร. สมชาย อายุ ๔๕ ปี มีเงิน 1,234.50 บาท พ.ศ. 2567"),
    ("ja", "2024年11月30日、午後3時15分に東京都千代田区で¥1,234。「はい」と言った。パソコン、コンピューター。"),
    ("ko", "2024년 11월 30일 오후 3시 15분, 1,234원입니다. ㅋㅋㅋㅋㅋ"),
    ("zh-CN", "2024年11月30日下午3点15分，共1,234.50元。哈哈哈哈哈哈哈哈！他说：“好的。”"),
    ("tr", "Sn. Dr. A. B. Yılmaz, T.C., vb., 1.234,56 TL, Çekoslovakyalılaştıramadıklarımızdan mısınız?"),
    ("vi", "TP. Hồ Chí Minh, 1.234.567 đ, ngày 30/11/2024, v.v."),
    ("hu", "Pl. a 2. fejezet, 1 234 567,89 Ft, dec. 24-én, XVI. századi, stb. megszentségteleníthetetlenségeskedéseitekért"),
    ("fi", "Esim. 1 234,5 €, klo 12.30, ns. lentokonesuihkuturbiinimoottoriapumekaanikkoaliupseerioppilas"),
    ("nl", "Bijv. 1.234,56 euro, d.w.z. 's avonds om 20.30 uur, m.a.w. zo'n 5 km."),
)  # fmt: skip

LONG_SENTENCE = (
    "I went down to the river in the early morning and saw that the men who had been working there all night were "
    "still standing in the cold water with their sleeves rolled up and their faces turned towards the light that "
    "was slowly growing behind the hills on the other side of the valley where my father used to live"
)
