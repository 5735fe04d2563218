//! Path parameters, kept as places in the path rather than as copies of it.

use crate::percent;

/// Most parameters a pattern may have.
pub(crate) const PARAMS_MAX: usize = 4;

/// The parameters of one request.
#[derive(Debug, Default)]
pub(crate) struct Params {
    places: [Place; PARAMS_MAX],
    /// All values, decoded, if any of them has an escape. Rare: ids have none.
    decoded: Option<Box<[String]>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    name: &'static str,
    from: u32,
    to: u32,
}

/// An escape in the path is broken, or not UTF-8.
#[derive(Debug)]
pub(crate) struct BadEscape;

impl Params {
    /// `values` are slices of `path`, in the order of `names`.
    pub(crate) fn new<'a>(
        path: &'a str,
        names: &[&'static str],
        values: impl Iterator<Item = &'a str>,
    ) -> Result<Self, BadEscape> {
        let mut params = Self::default();
        let mut escaped = false;
        for ((place, name), value) in params.places.iter_mut().zip(names).zip(values) {
            let from = value.as_ptr().addr().saturating_sub(path.as_ptr().addr());
            *place = Place { name, from: place_of(from), to: place_of(from + value.len()) };
            escaped |= value.contains('%');
        }
        if escaped {
            let values = params.places.iter().map(|place| {
                let raw = place.of(path);
                percent::decode_segment(raw).map(std::borrow::Cow::into_owned).ok_or(BadEscape)
            });
            params.decoded = Some(values.collect::<Result<_, _>>()?);
        }
        Ok(params)
    }

    pub(crate) fn get<'a>(&'a self, path: &'a str, name: &str) -> &'a str {
        let Some(index) = self.places.iter().position(|place| place.name == name) else {
            return "";
        };
        match (&self.decoded, self.places.get(index)) {
            (Some(decoded), _) => decoded.get(index).map_or("", String::as_str),
            (None, Some(place)) => place.of(path),
            (None, None) => "",
        }
    }
}

impl Place {
    fn of(self, path: &str) -> &str {
        path.get(self.from as usize..self.to as usize).unwrap_or_default()
    }
}

/// No path is that long: the server limits headers to a megabyte.
fn place_of(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

/// The names of a pattern's parameters, in order: `/a/{b}/{*c}` has `b` and `c`.
pub(crate) fn names(pattern: &'static str) -> Vec<&'static str> {
    let inside = pattern.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    inside.map(|(name, _)| name.trim_start_matches('*')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_from_the_path_and_decoded_only_if_needed() {
        let names = names("/v1/sales/{sale}/x/{*rest}");
        assert_eq!(names, ["sale", "rest"]);
        let path = "/v1/sales/demo/x/a/b";
        let params = Params::new(path, &names, [&path[10..14], &path[17..]].into_iter()).unwrap();
        assert!(params.decoded.is_none());
        assert_eq!(
            (params.get(path, "sale"), params.get(path, "rest"), params.get(path, "no")),
            ("demo", "a/b", "")
        );

        let path = "/v1/sales/de%2Fmo/x/%E5%80%99";
        let params = Params::new(path, &names, [&path[10..17], &path[20..]].into_iter()).unwrap();
        assert_eq!((params.get(path, "sale"), params.get(path, "rest")), ("de/mo", "候"));

        let path = "/v1/sales/%ff/x/y";
        assert!(Params::new(path, &names, [&path[10..13]].into_iter()).is_err());
    }
}
