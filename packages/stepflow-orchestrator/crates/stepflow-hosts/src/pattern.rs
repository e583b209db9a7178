//! Path patterns, as routes and workers write them: `/python/{*component}`, `/text/{model}/embed`, `/clean`.

use std::cmp::Ordering;

/// A path pattern. The order of patterns is the order in which they are tried: most specific first.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    segments: Vec<Segment>,
}

#[derive(Debug, Clone)]
enum Segment {
    /// Exactly this text.
    Literal(String),
    /// `{name}`: any one segment.
    One(String),
    /// `{*name}`: this segment and all that follow, at least one.
    Rest(String),
}

/// What a pattern's names stood for in a path, in the pattern's order.
pub(crate) type Captures<'p, 'path> = Vec<(&'p str, &'path str)>;

impl Pattern {
    /// Reads a pattern; the error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix('/').ok_or("it does not begin with `/`")?;
        let segments = path.split('/').map(Segment::parse).collect::<Result<Vec<_>, _>>()?;
        let last = segments.len() - 1;
        if segments.iter().take(last).any(|segment| matches!(segment, Segment::Rest(_))) {
            return Err("only its last segment can be a `{*name}`".to_owned());
        }
        let pattern = Self { segments };
        let mut names: Vec<&str> = pattern.names().collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(twice) => Err(format!("it has the name `{}` twice", twice[0])),
            None => Ok(pattern),
        }
    }

    /// The names that it captures.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::One(name) | Segment::Rest(name) => Some(name.as_str()),
        })
    }

    /// The literal segments before the first name, such as `["python"]`.
    pub(crate) fn literal_prefix(&self) -> Vec<&str> {
        self.segments
            .iter()
            .map_while(|segment| match segment {
                Segment::Literal(text) => Some(text.as_str()),
                Segment::One(_) | Segment::Rest(_) => None,
            })
            .collect()
    }

    /// The captures of a path that fits; `None` for every other path.
    pub(crate) fn captures<'p, 'path>(&'p self, path: &'path str) -> Option<Captures<'p, 'path>> {
        let mut captures = Vec::new();
        let mut rest = Some(path.strip_prefix('/')?);
        for segment in &self.segments {
            let remaining = rest.filter(|text| !text.is_empty())?;
            if let Segment::Rest(name) = segment {
                captures.push((name.as_str(), remaining));
                return Some(captures);
            }
            let (head, tail) = match remaining.split_once('/') {
                Some((head, tail)) => (head, Some(tail)),
                None => (remaining, None),
            };
            match segment {
                Segment::Literal(text) if text == head => {}
                Segment::One(name) if !head.is_empty() => captures.push((name.as_str(), head)),
                _ => return None,
            }
            rest = tail;
        }
        rest.is_none().then_some(captures)
    }

    /// Compares what is matched, not how names are spelled: two equal patterns match the same paths.
    pub(crate) fn specificity(&self, other: &Self) -> Ordering {
        self.segments.iter().map(Segment::rank).cmp(other.segments.iter().map(Segment::rank))
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("it has an empty segment".to_owned());
        }
        let Some(inner) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
            if text.contains(['{', '}']) {
                return Err(format!("`{text}` mixes text with a name: a name is a segment of its own"));
            }
            return Ok(Self::Literal(text.to_owned()));
        };
        let (name, rest) = inner.strip_prefix('*').map_or((inner, false), |name| (name, true));
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
            return Err(format!("`{text}` needs a name of letters, digits and `_`"));
        }
        Ok(if rest { Self::Rest(name.to_owned()) } else { Self::One(name.to_owned()) })
    }

    fn rank(&self) -> (u8, &str) {
        match self {
            Self::Literal(text) => (0, text),
            Self::One(_) => (1, ""),
            Self::Rest(_) => (2, ""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(pattern: &str, path: &str) -> Option<Vec<(String, String)>> {
        let pattern = Pattern::parse(pattern).unwrap();
        let captures = pattern.captures(path)?;
        Some(captures.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    #[test]
    fn a_rest_takes_at_least_one_segment() {
        assert_eq!(captured("/core/{*rest}", "/core/a/b"), Some(vec![("rest".to_owned(), "a/b".to_owned())]));
        assert_eq!(captured("/core/{*rest}", "/core"), None);
        assert_eq!(captured("/core/{*rest}", "/core/"), None);
    }

    #[test]
    fn a_name_takes_exactly_one_segment() {
        assert_eq!(captured("/{a}/x", "/1/x"), Some(vec![("a".to_owned(), "1".to_owned())]));
        assert_eq!(captured("/{a}", "/1/2"), None);
        assert_eq!(captured("/{a}/x", "//x"), None);
    }

    #[test]
    fn a_literal_takes_nothing_else() {
        assert_eq!(captured("/clean", "/clean"), Some(vec![]));
        assert_eq!(captured("/clean", "/clean/"), None);
        assert_eq!(captured("/clean", "clean"), None);
    }

    #[test]
    fn the_most_specific_pattern_comes_first() {
        let mut patterns = ["/{*all}", "/a/{*rest}", "/{x}/b", "/a/{y}", "/a/b", "/{*any}"]
            .map(|text| (Pattern::parse(text).unwrap(), text));
        patterns.sort_by(|(left, _), (right, _)| left.specificity(right));
        assert_eq!(patterns.map(|(_, text)| text), ["/a/b", "/a/{y}", "/a/{*rest}", "/{x}/b", "/{*all}", "/{*any}"]);
    }

    #[test]
    fn a_misspelled_pattern_is_refused_with_its_reason() {
        for (text, reason) in [
            ("python", "does not begin"),
            ("/a//b", "empty segment"),
            ("/a/", "empty segment"),
            ("/{*a}/b", "only its last segment"),
            ("/x-{a}", "mixes text"),
            ("/{}", "needs a name"),
            ("/{a}/{a}", "`a` twice"),
        ] {
            let problem = Pattern::parse(text).unwrap_err();
            assert!(problem.contains(reason), "{text}: {problem}");
        }
    }
}
