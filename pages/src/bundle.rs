//! Files as they go over the wire: the page's modules in one, without what only readers of the source need.
//!
//! No compiler: our own modules import nothing but each other by plain lines, and no two have a name at their top in
//! common (a browser would refuse the bundle, and the tests look). What is left out are whole-line comments, types within
//! a line, indentation, and the lines that import and export.

/// The modules of the page, each after those it needs.
const MODULES: [&str; 12] = [
    include_str!("../../clients/js/src/pace.js"),
    include_str!("../../clients/js/src/requests.js"),
    include_str!("../../clients/js/src/wires.js"),
    include_str!("../../clients/js/src/standing.js"),
    include_str!("../../clients/js/src/keep.js"),
    include_str!("../../clients/js/src/follow.js"),
    include_str!("../../clients/js/src/place.js"),
    include_str!("../../clients/js/src/index.js"),
    include_str!("../waiting/words.js"),
    include_str!("../waiting/scenes.js"),
    include_str!("../waiting/view.js"),
    include_str!("../waiting/main.js"),
];

/// The page's script.
pub(crate) fn script() -> String {
    MODULES.iter().map(|module| without_modules(&lean(module))).collect()
}

/// `text` without blank lines, indentation and whole-line comments, of a script or a style sheet.
pub(crate) fn lean(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut in_comment = false;
    for line in text.lines().map(str::trim) {
        let opens = line.starts_with("/*") && (line.ends_with("*/") || !line.contains("*/"));
        if in_comment || opens {
            in_comment = !line.ends_with("*/");
        } else if !line.is_empty() && !line.starts_with("//") {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// `script` without its import and export statements; what it exports stays, as a name at the top.
fn without_modules(script: &str) -> String {
    let mut kept = String::with_capacity(script.len());
    let mut in_statement = false;
    for line in script.lines() {
        let starts = line.starts_with("import ") || line.starts_with("export {");
        if in_statement || starts {
            in_statement = !line.ends_with(';');
            continue;
        }
        kept.push_str(&without_types(line.strip_prefix("export ").unwrap_or(line)));
        kept.push('\n');
    }
    kept
}

/// A line without the `/** … */` that only a type checker reads.
fn without_types(line: &str) -> String {
    let mut kept = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, (_, after))) =
        rest.split_once("/**").and_then(|(before, from)| Some((before, from.split_once("*/")?)))
    {
        kept.push_str(before);
        rest = after.trim_start();
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn comments_and_modules_are_left_out_and_nothing_else() {
        let text = "/** What\n * it is. */\nimport {\n  a,\n} from './a.js';\nimport { b } from './b.js';\nexport { c };\n// why\nexport class D {\n  /** @type {1} */ x = 1; // kept\n  /* one line */\n}\n";
        let bundled = without_modules(&lean(text));
        assert_eq!(bundled, "class D {\nx = 1; // kept\n}\n");
    }

    #[test]
    fn the_script_is_whole_and_its_names_are_its_own() {
        let script = script();
        let mut names = BTreeSet::new();
        for line in MODULES.iter().flat_map(|module| module.lines()) {
            let line = line.strip_prefix("export ").unwrap_or(line);
            let line = line.strip_prefix("async ").unwrap_or(line);
            let declared = ["class ", "function ", "const ", "let "]
                .iter()
                .find_map(|keyword| line.strip_prefix(keyword));
            let Some(rest) = declared else { continue };
            let name: String =
                rest.chars().take_while(|c| c.is_alphanumeric() || "_$".contains(*c)).collect();
            // A pattern that takes something apart has no name here.
            assert!(name.is_empty() || names.insert(name.clone()), "{name} is declared twice");
        }
        assert!(names.contains("Sluice") && names.contains("Page") && names.len() > 40);
        for line in script.lines() {
            assert!(!line.starts_with("import ") && !line.starts_with("export "), "{line}");
        }
        assert!(script.contains("class Sluice {") && script.contains("class Page {"));
        assert!(!script.contains("/**") && !script.contains("@type"));
    }
}
