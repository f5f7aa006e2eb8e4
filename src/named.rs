//! Enums of words: each value, and its word in the table, in messages, in settings. Pure.

/// Declares such an enum with the list of its values, their words, and how one is read. A value is
/// named once, so none can be forgotten in a list.
macro_rules! named {
    (
        $(#[$doc:meta])*
        pub enum $name:ident { $($(#[$value_doc:meta])* $value:ident = $word:literal,)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$value_doc])* $value,)* }

        impl $name {
            /// All of them, in this order.
            pub const ALL: [Self; [$($word),*].len()] = [$(Self::$value),*];

            /// The word for it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$value => $word,)* }
            }

            /// Reads the word; `None` if it is none of these.
            #[must_use]
            pub fn read(word: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|value| value.as_str() == word)
            }
        }
    };
}

pub(crate) use named;

#[cfg(test)]
mod tests {
    use crate::event::Phase;

    #[test]
    fn a_word_is_read_as_what_it_stands_for() {
        for phase in Phase::ALL {
            assert_eq!(Phase::read(phase.as_str()), Some(phase));
        }
        assert_eq!(Phase::ALL.first(), Some(&Phase::Starting));
        assert_eq!(Phase::read("Starting"), None);
    }
}
