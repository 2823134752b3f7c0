//! SVG by an allow-list. What is not on it makes the picture be refused, not repaired: half a picture deceives, and a
//! repaired one may be read otherwise by the next parser.
//!
//! No text element (words in pictures escape the cleaning), no links, styles, scripts, animations or references to
//! anything outside. What comes out is written afresh from what was read.

use std::fmt::Write as _;

/// Largest picture, in bytes.
const MAX_BYTES: usize = 64 << 10;
/// Most elements.
const MAX_ELEMENTS: usize = 1000;
/// How deep elements may be nested.
const MAX_DEPTH: usize = 16;

const ELEMENTS: [&str; 14] = [
    "svg",
    "g",
    "path",
    "rect",
    "circle",
    "ellipse",
    "line",
    "polyline",
    "polygon",
    "defs",
    "linearGradient",
    "radialGradient",
    "stop",
    "clipPath",
];

const ATTRIBUTES: [&str; 53] = [
    "xmlns",
    "version",
    "viewBox",
    "width",
    "height",
    "preserveAspectRatio",
    "id",
    "d",
    "x",
    "y",
    "x1",
    "y1",
    "x2",
    "y2",
    "cx",
    "cy",
    "r",
    "rx",
    "ry",
    "fx",
    "fy",
    "points",
    "transform",
    "fill",
    "fill-opacity",
    "fill-rule",
    "stroke",
    "stroke-width",
    "stroke-linecap",
    "stroke-linejoin",
    "stroke-miterlimit",
    "stroke-dasharray",
    "stroke-dashoffset",
    "stroke-opacity",
    "opacity",
    "color",
    "clip-path",
    "clip-rule",
    "clipPathUnits",
    "offset",
    "stop-color",
    "stop-opacity",
    "gradientUnits",
    "gradientTransform",
    "spreadMethod",
    "pathLength",
    "vector-effect",
    "shape-rendering",
    "color-interpolation",
    "paint-order",
    "role",
    "display",
    "visibility",
];

/// Reads a picture strictly and writes it afresh.
pub(super) fn sanitise(text: &str) -> Result<String, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("an SVG of at most {MAX_BYTES} bytes is needed"));
    }
    let mut rest = text.trim();
    let mut out = String::with_capacity(rest.len());
    let mut open: Vec<&str> = Vec::new();
    let mut elements = 0;
    while let Some(start) = rest.find('<') {
        // Only white space between elements: there is no text.
        if !rest[..start].trim().is_empty() {
            return Err("text in the SVG is refused".to_owned());
        }
        rest = &rest[start + 1..];
        if let Some(after) = rest.strip_prefix('/') {
            let end = after.find('>').ok_or("an element is not closed")?;
            let name = after[..end].trim_end();
            if open.pop() != Some(name) {
                return Err("elements are not nested rightly".to_owned());
            }
            let _ = write!(out, "</{name}>");
            rest = &after[end + 1..];
        } else {
            if open.is_empty() && elements > 0 {
                return Err("one svg element is needed".to_owned());
            }
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).ok_or("an element is not closed")?;
            let name = &rest[..end];
            if !ELEMENTS.contains(&name) || (elements == 0) != (name == "svg") {
                let shown = crate::text::clean(rest.split(['>', ' ']).next().unwrap_or_default(), 40);
                return Err(format!("the SVG element <{shown}> is refused; allowed: {}", ELEMENTS.join(", ")));
            }
            elements += 1;
            if elements > MAX_ELEMENTS || open.len() >= MAX_DEPTH {
                return Err("the SVG has too many or too deep elements".to_owned());
            }
            let _ = write!(out, "<{name}");
            rest = &rest[end..];
            let closed = attributes(&mut rest, &mut out)?;
            out.push_str(if closed { "/>" } else { ">" });
            if !closed {
                open.push(name);
            }
        }
        rest = rest.trim_start();
        if rest.is_empty() {
            break;
        }
    }
    if elements == 0 || !open.is_empty() || !rest.trim().is_empty() {
        return Err("an SVG with one closed svg element is needed".to_owned());
    }
    Ok(out)
}

/// `name="value" … >` or `/>`; gives whether the element is closed by it.
fn attributes(rest: &mut &str, out: &mut String) -> Result<bool, String> {
    let mut seen: Vec<&str> = Vec::new();
    loop {
        let trimmed = rest.trim_start();
        if let Some(after) = trimmed.strip_prefix("/>") {
            *rest = after;
            return Ok(true);
        }
        if let Some(after) = trimmed.strip_prefix('>') {
            *rest = after;
            return Ok(false);
        }
        if trimmed.len() == rest.len() {
            return Err("the SVG cannot be read".to_owned());
        }
        let end = trimmed.find('=').ok_or("an attribute has no value")?;
        let name = trimmed[..end].trim_end();
        if !ATTRIBUTES.contains(&name) {
            return Err(format!("the SVG attribute {:?} is refused", crate::text::clean(name, 40)));
        }
        if seen.contains(&name) {
            return Err(format!("the SVG attribute {name} stands twice"));
        }
        seen.push(name);
        let after = trimmed[end + 1..].trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or("an attribute has no quotes")?;
        let body = &after[1..];
        let close = body.find(quote).ok_or("an attribute is not closed")?;
        let value = &body[..close];
        check_value(name, value)?;
        let _ = write!(out, " {name}=\"{value}\"");
        *rest = &body[close + 1..];
    }
}

fn check_value(name: &str, value: &str) -> Result<(), String> {
    if name == "xmlns" {
        return if value == "http://www.w3.org/2000/svg" { Ok(()) } else { Err("another xmlns is refused".to_owned()) };
    }
    // No entities, no markup, no quotes; a reference only to something in the picture.
    let plain = value.bytes().all(|b| b.is_ascii_alphanumeric() || b" .,-+#%()_:;/\n\r\t".contains(&b));
    let inner = value.replace("url(#", "");
    if !plain || inner.to_ascii_lowercase().contains("url") || inner.contains(':') || inner.contains('/') {
        return Err(format!("the value of the SVG attribute {name} is refused"));
    }
    Ok(())
}
