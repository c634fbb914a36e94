//! Addresses of other contexts, as a flag.

/// `<context>=<URL>,<context>=<URL>`, by context.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses(pub std::collections::BTreeMap<String, String>);

impl std::str::FromStr for Addresses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pairs = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        let read = pairs.map(|pair| {
            let (name, address) = pair
                .split_once('=')
                .ok_or_else(|| format!("`{pair}` must be <context>=<URL>"))?;
            let uri: http::Uri = address
                .trim()
                .parse()
                .map_err(|_| format!("`{address}` is not a URL"))?;
            if uri.scheme().is_none() || uri.authority().is_none() {
                return Err(format!(
                    "`{address}` must be a URL such as http://127.0.0.1:9101"
                ));
            }
            Ok((name.trim().to_owned(), address.trim().to_owned()))
        });
        Ok(Self(read.collect::<Result<_, _>>()?))
    }
}
