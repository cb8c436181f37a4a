"""The benchmark's texts: 24 English texts of our own, as written and as spoken."""

from msgspec import Struct


class Text(Struct, frozen=True):
    """A text; `spoken` has its numbers and signs as words, in one usual reading."""

    written: str
    spoken: str


def _plain(text: str) -> Text:
    return Text(text, text)


TEXTS = (
    _plain("Good morning, and welcome to the harbour tour."),
    _plain("Could you tell me where the nearest pharmacy is?"),
    Text(
        "The parcel weighs 12.5 kilograms and costs $48.90 to send.",
        "The parcel weighs twelve point five kilograms and costs forty eight dollars and ninety cents to"
        " send.",
    ),
    Text(
        "Our next meeting is on March 3rd, 2027, at 9:15 in the morning.",
        "Our next meeting is on March third, twenty twenty seven, at nine fifteen in the morning.",
    ),
    _plain("Margaret Thompson and Daniel Fischer will lead the workshop in Edinburgh."),
    Text(
        "In 1969, about 600 million people watched the landing on the moon.",
        "In nineteen sixty nine, about six hundred million people watched the landing on the moon.",
    ),
    _plain("Why did nobody answer the telephone yesterday afternoon?"),
    Text("Please call 555 0142 before Friday.", "Please call five five five oh one four two before Friday."),
    _plain(
        "Although the bridge had been closed since the storm, the villagers kept crossing the river in small"
        " wooden boats, carrying bread, letters, and sometimes a goat to the market on the other side."
    ),
    Text(
        "Sales rose by 7% in the first quarter and fell by 2% in the second.",
        "Sales rose by seven percent in the first quarter and fell by two percent in the second.",
    ),
    Text(
        "Dr. Williams sees patients from 8 a.m. to 4 p.m.",
        "Doctor Williams sees patients from eight a m to four p m.",
    ),
    _plain("Stop! The paint on that bench is still wet."),
    Text(
        "The museum has 3 floors, 27 rooms, and more than 14,000 objects.",
        "The museum has three floors, twenty seven rooms, and more than fourteen thousand objects.",
    ),
    _plain("Would you like tea, coffee, or just a glass of cold water?"),
    Text(
        "Invoice 731 for £2,350 is due on November 14th.",
        "Invoice seven hundred thirty one for two thousand three hundred fifty pounds is due on November"
        " fourteenth.",
    ),
    _plain("A quiet fox slipped through the garden while seven sheep slept by the fence."),
    _plain(
        "The new library opens on Monday; until then, you may return your books at the post office, where a"
        " box stands beside the front entrance."
    ),
    Text(
        "Turn left after 200 metres, then take the second exit at the roundabout.",
        "Turn left after two hundred metres, then take the second exit at the roundabout.",
    ),
    _plain("Isabella wrote to Professor Nguyen that the mountains near Geneva were covered with snow."),
    Text(
        "The temperature will drop to -4 degrees tonight, with winds of 30 miles an hour.",
        "The temperature will drop to minus four degrees tonight, with winds of thirty miles an hour.",
    ),
    _plain("I thought the thick thistles beside the path would scratch both of us."),
    Text(
        "You have 1 new message and 16 reminders for the week.",
        "You have one new message and sixteen reminders for the week.",
    ),
    _plain(
        "When the orchestra had finished its last rehearsal, the conductor thanked every musician, closed the"
        " score, and walked out into the cool evening air without another word."
    ),
    _plain("Thank you for your patience. Is there anything else that I can do for you today?"),
)
