//! Which passwords are too easy to guess.

use zxcvbn::zxcvbn;

use crate::domain::values::Email;

/// The least number of guesses that a password must withstand. The limits of failed attempts allow far fewer.
const MIN_GUESSES: u64 = 1_000_000;

/// Words that somebody who guesses a member's password tries first.
pub(crate) fn words_about(email: &Email, display_name: &str) -> Vec<String> {
    let mut words = vec!["berth".to_owned(), email.as_str().to_owned()];
    for name in [email.local_part(), display_name] {
        let parts: Vec<&str> = name.split(|c: char| !c.is_alphanumeric()).collect();
        words.extend([name.to_owned(), parts.concat()]);
        words.extend(parts.into_iter().map(ToOwned::to_owned));
    }
    words.retain(|word| word.chars().count() > 2);
    words
}

/// Whether a password is a common one, made of words about its member, or a pattern, with the usual changes.
pub(crate) fn is_guessable(password: &str, about: &[String]) -> bool {
    let about: Vec<&str> = about.iter().map(String::as_str).collect();
    zxcvbn(password, &about).guesses() < MIN_GUESSES
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn about() -> Vec<String> {
        let email = "ann.smithson@example.org".parse().unwrap();
        words_about(&email, "Ann Smithson-Braun")
    }

    #[test]
    fn common_passwords_and_words_about_the_member_are_guessable() {
        for password in [
            "password1234",
            "P@ssw0rd123",
            "qwertyuiop",
            "1234567890",
            "aaaaaaaaaaaa",
            "abcdefghijkl",
            "iloveyou123",
            "ann.smithson@example.org",
            "ANN.SMITHSON",
            "AnnSmithson1",
            "smithson2027",
            "berthberth",
            "Berth123456",
        ] {
            assert!(is_guessable(password, &about()), "{password}");
        }
    }

    #[test]
    fn other_passwords_are_not_guessable() {
        for password in [
            "correct horse",
            "correct horse battery staple",
            "another password",
            "rather secret",
            "xk9-Qz2!mv",
            "Übermäßig grün",
            "正确的马电池订书钉",
            "🦩🫠☃🥑🍍🎷🛶🧭🪁🪐",
        ] {
            assert!(!is_guessable(password, &about()), "{password}");
        }
    }

    #[test]
    fn a_long_repetition_is_guessable() {
        for part in ["a", "qwerty", "1999", "p@$$w0rd"] {
            let password: String = part.chars().cycle().take(200).collect();
            assert!(is_guessable(&password, &about()), "{password}");
        }
    }

    proptest! {
        #[test]
        fn any_password_is_judged(password in any::<String>(), name in any::<String>()) {
            is_guessable(&password, &words_about(&"a@b.c".parse().unwrap(), &name));
        }
    }
}
