//! Text that people write: what is visible, what would deceive a reader, and when two texts are the same.
//!
//! Unicode can show the same text in several encodings, invisible characters, and text in another order than it is stored.
//! These functions are the one place that knows; contexts validate with [`crate::Violations`].

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup},
};

/// The longest run of combining marks: that of the Stream-Safe Text Format (UAX #15). No language needs as many.
const MAX_MARKS: usize = 30;

/// Whether a character is invisible by itself: a joiner, a filler, a variation selector, a direction mark.
pub fn is_ignorable(c: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// Whether a character makes what follows appear in another order: an embedding, an override, an isolate, or their ends.
pub fn is_direction_control(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character ends a line.
pub fn is_line_break(c: char) -> bool {
    matches!(c, '\n'..='\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Whether nobody would see the text.
pub fn is_blank(text: &str) -> bool {
    !text.chars().any(is_visible)
}

/// A letter, digit, sign or symbol. Two symbols have no shape: the empty Braille pattern and the null note head.
fn is_visible(c: char) -> bool {
    is_readable(c) && !matches!(c, '\u{2800}' | '\u{1d159}') && !is_mark(c)
}

/// Whether a text has more combining marks in a row than anybody needs, so that they cover other lines.
pub fn has_too_many_marks(text: &str) -> bool {
    let mut run = 0;
    text.chars().any(|c| {
        run = if is_mark(c) { run + 1 } else { 0 };
        run > MAX_MARKS
    })
}

/// The text as one line that deceives nobody: without line breaks, control characters and characters that change its
/// direction. For text that may be older than the rules for it, or comes from outside.
pub fn single_line(text: &str) -> String {
    let is_replaced = |c: char| c.is_control() || is_line_break(c);
    let text = text
        .replace(is_replaced, " ")
        .replace(is_direction_control, "");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text by which people are found, such as an e-mail address: in compatibility form (NFKC) and lower case, so that texts
/// that look alike are equal. None if it contains an invisible character, whitespace, or one without a meaning.
pub fn identifier(text: &str) -> Option<String> {
    let nfkc = ComposingNormalizerBorrowed::new_nfkc();
    let lower = nfkc.normalize(text).to_lowercase();
    // Lower case may need to be composed again.
    let folded = nfkc.normalize(&lower).into_owned();
    let begins_with_mark = folded.chars().next().is_some_and(is_mark);
    (folded.chars().all(is_readable) && !begins_with_mark && !has_too_many_marks(&folded))
        .then_some(folded)
}

/// A password as it is compared (`OpaqueString` of RFC 8265): every space is U+0020, and accents are composed (NFC), so that
/// all keyboards produce the same. None if it contains a control character or an invisible one.
pub fn opaque(text: &str) -> Option<String> {
    let space = |c| {
        if is_of(GeneralCategoryGroup::SpaceSeparator, c) {
            ' '
        } else {
            c
        }
    };
    let spaced: String = text.chars().map(space).collect();
    let composed = nfc(&spaced).into_owned();
    composed
        .chars()
        .all(|c| c == ' ' || is_readable(c))
        .then_some(composed)
}

/// The text in composed form (NFC).
pub fn nfc(text: &str) -> Cow<'_, str> {
    ComposingNormalizerBorrowed::new_nfc().normalize(text)
}

/// A letter, mark, number, sign or symbol that is not invisible. Neither whitespace, nor control characters, nor characters
/// that Unicode has not assigned.
fn is_readable(c: char) -> bool {
    const READABLE: GeneralCategoryGroup = GeneralCategoryGroup::Letter
        .union(GeneralCategoryGroup::Mark)
        .union(GeneralCategoryGroup::Number)
        .union(GeneralCategoryGroup::Punctuation)
        .union(GeneralCategoryGroup::Symbol);
    is_of(READABLE, c) && !is_ignorable(c)
}

fn is_mark(c: char) -> bool {
    is_of(GeneralCategoryGroup::Mark, c)
}

fn is_of(group: GeneralCategoryGroup, c: char) -> bool {
    group.contains(CodePointMapData::<GeneralCategory>::new().get(c))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_without_anything_to_see_is_blank() {
        for blank in [
            "",
            " \n\t\u{a0}\u{3000}",
            "\u{200b}",
            "\u{2060}\u{feff}\u{ad}\u{34f}",
            "\u{3164}\u{ffa0}\u{115f}",
            "\u{2800}",
            "\u{202e}\u{200f}",
            "\u{e0041}",
            "\u{301}",
            "\u{e000}",
            "\u{fe0f}",
        ] {
            assert!(is_blank(blank), "{blank:?}");
        }
        for visible in [
            "a",
            "\u{200b}a",
            "é",
            "日",
            "ا",
            "👩\u{200d}🚀",
            "❤\u{fe0f}",
            "-",
            "1",
            "e\u{301}",
        ] {
            assert!(!is_blank(visible), "{visible:?}");
        }
    }

    #[test]
    fn identifiers_that_look_alike_are_equal() {
        for (one, other) in [
            ("Jos\u{e9}", "jose\u{301}"),
            ("ＡＮＮ", "ann"),
            ("ﬁn", "fin"),
            ("K", "k"),
            ("ſ", "s"),
            ("\u{1e9e}", "ß"),
        ] {
            assert_eq!(identifier(one), identifier(other), "{one} {other}");
            assert!(identifier(one).is_some());
        }
        for (one, other) in [("ß", "ss"), ("ı", "i"), ("é", "e")] {
            assert_ne!(identifier(one), identifier(other), "{one} {other}");
        }
    }

    #[test]
    fn an_identifier_has_no_invisible_character() {
        for hidden in [
            "a\u{200b}b",
            "a\u{ad}b",
            "\u{202e}a",
            "\u{2066}a\u{2069}",
            "a\u{fe0f}",
            "a b",
            "a\n",
            "\u{301}a",
            "a\u{e000}",
            "a\u{378}",
            "a\u{ffff}",
        ] {
            assert_eq!(identifier(hidden), None, "{hidden:?}");
        }
    }

    #[test]
    fn a_password_is_the_same_in_composed_and_decomposed_form() {
        for (one, other) in [
            ("pässword", "pa\u{308}ssword"),
            ("한글", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}"),
            ("a\u{a0}b\u{3000}c", "a b c"),
        ] {
            assert_eq!(opaque(one), opaque(other), "{one}");
            assert!(opaque(one).is_some());
        }
        for (one, other) in [("A", "a"), ("ﬁ", "fi"), ("Ａ", "A")] {
            assert_ne!(opaque(one), opaque(other), "{one}");
        }
        for refused in [
            "a\u{200b}",
            "a\0",
            "a\n",
            "a\u{202e}",
            "a\u{7f}",
            "\u{feff}a",
        ] {
            assert_eq!(opaque(refused), None, "{refused:?}");
        }
        assert_eq!(opaque("🦩 ☃ 🫠"), Some("🦩 ☃ 🫠".into()));
    }

    #[test]
    fn a_flood_of_marks_is_recognised() {
        let marks = |n| format!("a{}", "\u{301}".repeat(n));
        assert!(!has_too_many_marks(&marks(30)));
        assert!(has_too_many_marks(&marks(31)));
        assert!(!has_too_many_marks(&"a\u{301}".repeat(1000)));
        assert_eq!(identifier(&marks(10_000)), None);
        assert!(opaque(&marks(10_000)).is_some());
    }

    #[test]
    fn a_single_line_has_no_line_break_and_no_direction() {
        let text = "Sea\r\nBcc: all@example.com\u{2028}\u{85}\u{0}\u{202e}view\u{2066}\t";
        assert_eq!(single_line(text), "Sea Bcc: all@example.com view");
    }

    proptest! {
        #[test]
        fn an_identifier_and_a_password_are_prepared_once(text in any::<String>()) {
            if let Some(prepared) = identifier(&text) {
                prop_assert_eq!(identifier(&prepared), Some(prepared.clone()));
            }
            if let Some(prepared) = opaque(&text) {
                prop_assert_eq!(opaque(&prepared), Some(prepared.clone()));
            }
        }
    }
}
