//! Whose frames a stack shows.

/// Names of files that begin so belong to the embedder; the sandbox's own globals are `entresol:globals`. Their frames
/// say nothing to a script's author, and how the glue is built is no business of the script.
pub(crate) const HIDDEN: &str = "entresol:";

/// The frames of the script itself: without those of the globals and the glue, and without the engine's own functions
/// that only those called. One frame a line, as the engine writes them: function, file, line, column.
#[must_use]
pub fn own_frames(stack: &str) -> String {
    let mut kept = String::with_capacity(stack.len());
    // The engine's functions (`map`, `apply`), until it is known who called them.
    let mut pending: Vec<&str> = Vec::new();
    for line in stack.lines() {
        let frame = line.trim_start();
        let place = frame.rsplit_once('(').map_or(frame, |(_, place)| place);
        if place.starts_with(HIDDEN) || place.strip_prefix("at ").is_some_and(|file| file.starts_with(HIDDEN)) {
            pending.clear();
        } else if place == "native)" {
            pending.push(line);
        } else {
            for line in pending.drain(..).chain([line]) {
                kept.push_str(line);
                kept.push('\n');
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::own_frames;

    #[test]
    fn frames_of_the_embedder_and_what_only_it_called_are_left_out() {
        let stack = "    at inner (plugin/index.js:3:9)\n    at map (native)\n    at outer (plugin/index.js:7:1)\n    at apply (native)\n    \
                     at <anonymous> (entresol:glue:10:2)\n    at apply (native)\n    at onMessage (entresol:globals:1:1)\n";
        assert_eq!(
            own_frames(stack),
            "    at inner (plugin/index.js:3:9)\n    at map (native)\n    at outer (plugin/index.js:7:1)\n"
        );
        assert_eq!(
            own_frames("    at plugin/index.js:1:7\n    at entresol:glue:1:1\n"),
            "    at plugin/index.js:1:7\n"
        );
        assert_eq!(own_frames(""), "");
        assert_eq!(own_frames("no frames (at all\n"), "no frames (at all\n");
    }
}
