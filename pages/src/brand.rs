//! An operator's brand: a folder with a style sheet, a logo, and texts, read once at start. What does not fit is said
//! before anything is served, with the file and how to mend it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use crate::texts;

/// Largest style sheet, in bytes.
const STYLE_BYTES_MAX: usize = 64 * 1024;
/// Largest picture, in bytes: every buyer loads it in the first second.
const PICTURE_BYTES_MAX: usize = 256 * 1024;
/// Largest file of texts, in bytes.
const TEXTS_BYTES_MAX: usize = 128 * 1024;
/// Most languages an operator may bring.
const LANGUAGES_MAX: usize = 50;

/// The pictures a folder may have: the name, what it is served as, and how such a file begins.
const PICTURES: [(&str, &str, &[u8]); 4] = [
    ("logo.svg", "image/svg+xml", b"<"),
    ("logo.png", "image/png", b"\x89PNG"),
    ("logo.webp", "image/webp", b"RIFF"),
    ("icon.svg", "image/svg+xml", b"<"),
];

/// See the module. The default is no brand.
#[derive(Clone, Debug, Default)]
pub struct Brand {
    files: Vec<BrandFile>,
    texts: Vec<(String, texts::Texts)>,
}

#[derive(Clone, Debug)]
pub(crate) struct BrandFile {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) bytes: Bytes,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BrandError {
    #[error("{} cannot be read ({reason}); name a folder that exists, or \"\" for none", .path.display())]
    Unreadable { path: PathBuf, reason: io::Error },
    #[error("{} {complaint}", .path.display())]
    Unfit { path: PathBuf, complaint: String },
}

impl Brand {
    /// Reads and checks a folder.
    pub fn read(folder: &Path) -> Result<Self, BrandError> {
        let mut brand = Self::default();
        for path in listed(folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name == "texts" && path.is_dir() {
                brand.read_texts(&path)?;
            } else if name == "brand.css" {
                let bytes = bounded(&path, STYLE_BYTES_MAX)?;
                check_style(&path, &bytes)?;
                brand.add("brand.css", "text/css; charset=utf-8", bytes);
            } else if let Some((name, kind, start)) = PICTURES.iter().find(|one| one.0 == name) {
                let bytes = bounded(&path, PICTURE_BYTES_MAX)?;
                if !bytes.trim_ascii_start().starts_with(start) {
                    return Err(unfit(&path, format!("is not {kind}")));
                }
                brand.add(name, kind, bytes);
            } else if !name.starts_with(['.', 'R']) {
                return Err(unfit(
                    &path,
                    "is none of brand.css, logo.svg, logo.png, logo.webp, icon.svg and texts/; remove or rename it",
                ));
            }
        }
        Ok(brand)
    }

    /// Where the logo is, below the assets.
    pub(crate) fn logo(&self) -> Option<&'static str> {
        self.files.iter().map(|file| file.name).find(|name| name.starts_with("logo."))
    }

    pub(crate) fn has_style(&self) -> bool {
        self.files.iter().any(|file| file.name == "brand.css")
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &BrandFile> {
        self.files.iter()
    }

    pub(crate) fn texts(&self) -> &[(String, texts::Texts)] {
        &self.texts
    }

    fn add(&mut self, name: &'static str, kind: &'static str, bytes: Vec<u8>) {
        self.files.push(BrandFile { name, kind, bytes: bytes.into() });
    }

    fn read_texts(&mut self, folder: &Path) -> Result<(), BrandError> {
        for path in listed(folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            let tag =
                name.strip_suffix(".json").filter(|tag| texts::is_tag(tag)).ok_or_else(|| {
                    unfit(&path, "is not named after a language, such as en.json or pt-BR.json")
                })?;
            if self.texts.len() == LANGUAGES_MAX {
                return Err(unfit(&path, format!("is one language more than {LANGUAGES_MAX}")));
            }
            let bytes = bounded(&path, TEXTS_BYTES_MAX)?;
            let read = texts::read(&bytes, tag).map_err(|complaint| unfit(&path, complaint))?;
            self.texts.push((tag.to_owned(), read));
        }
        Ok(())
    }
}

fn unfit(path: &Path, complaint: impl Into<String>) -> BrandError {
    BrandError::Unfit { path: path.to_owned(), complaint: complaint.into() }
}

/// The paths in a folder, in order.
fn listed(folder: &Path) -> Result<Vec<PathBuf>, BrandError> {
    let unreadable = |reason| BrandError::Unreadable { path: folder.to_owned(), reason };
    let items = fs::read_dir(folder).map_err(unreadable)?;
    let paths: io::Result<Vec<_>> = items.map(|item| item.map(|item| item.path())).collect();
    let mut paths = paths.map_err(unreadable)?;
    paths.sort();
    Ok(paths)
}

fn bounded(path: &Path, bytes_max: usize) -> Result<Vec<u8>, BrandError> {
    let bytes = fs::read(path)
        .map_err(|reason| BrandError::Unreadable { path: path.to_owned(), reason })?;
    if bytes.len() > bytes_max {
        let complaint =
            format!("has {} bytes; every buyer loads it: at most {bytes_max}", bytes.len());
        return Err(unfit(path, complaint));
    }
    Ok(bytes)
}

/// The page's content security policy would refuse what comes from elsewhere, on the night of the sale and in silence.
fn check_style(path: &Path, bytes: &[u8]) -> Result<(), BrandError> {
    let Ok(style) = std::str::from_utf8(bytes) else {
        return Err(unfit(path, "is not UTF-8"));
    };
    let style = style.to_ascii_lowercase();
    if style.contains("@import") {
        return Err(unfit(path, "has an @import: the page loads this one sheet; copy it in"));
    }
    let mut links =
        style.split("url(").skip(1).map(|rest| rest.trim_start_matches(['"', '\'', ' ']));
    if links.any(|link| !link.starts_with("data:image/")) {
        return Err(unfit(
            path,
            "has a url(…) that is not data:image/…: the page loads nothing from elsewhere; inline small pictures, and use logo.svg for the logo",
        ));
    }
    if style.matches('{').count() != style.matches('}').count() {
        return Err(unfit(path, "has not as many } as {"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("texts")).unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }

    #[test]
    fn a_whole_brand_is_read() {
        let folder = folder(&[
            ("brand.css", b":root { --accent: #a00; background: url('data:image/svg+xml,x') }"),
            ("logo.svg", b"\n<svg xmlns='http://www.w3.org/2000/svg'/>"),
            ("README.md", b"ours"),
            ("texts/en.json", br#"{ "waiting.lead": "Hold on." }"#),
        ]);
        let brand = Brand::read(folder.path()).unwrap();
        assert_eq!((brand.logo(), brand.has_style()), (Some("logo.svg"), true));
        assert_eq!(brand.texts().len(), 1);
        let plain = Brand::default();
        assert_eq!((plain.logo(), plain.has_style(), plain.texts().len()), (None, false, 0));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let large = vec![b' '; PICTURE_BYTES_MAX + 1];
        for (name, bytes, complaint) in [
            ("brand.scss", b"".as_slice(), "is none of brand.css"),
            ("brand.css", b"@import 'x';", "@import"),
            ("brand.css", b"a { background: url(https://cdn.example/x.png) }", "url(…)"),
            ("brand.css", b"a { color: red", "as many"),
            ("logo.png", b"GIF89a", "is not image/png"),
            ("logo.svg", &large, "every buyer loads it"),
            ("texts/english.txt", b"{}", "not named after a language"),
            ("texts/en.json", b"{", "JSON"),
            ("texts/en.json", br#"{ "waiting.leed": "x" }"#, "waiting.leed"),
            ("texts/en.json", br#"{ "notify.body": "{why}" }"#, "{why}"),
        ] {
            let folder = folder(&[(name, bytes)]);
            let error = Brand::read(folder.path()).unwrap_err().to_string();
            let file = name.rsplit('/').next().unwrap();
            assert!(error.contains(complaint) && error.contains(file), "{name}: {error}");
        }
        let error = Brand::read(Path::new("/nowhere/at/all")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/at/all") && error.contains("name a folder"), "{error}");
    }
}
