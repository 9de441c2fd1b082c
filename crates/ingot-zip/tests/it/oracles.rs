//! Other readers: what they find in an archive that was accepted must be what we found.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Checksum and length of each entry's content, by name.
pub(crate) type Listing = BTreeMap<String, (u32, u64)>;

/// What the `zip` crate finds; its content in the order of the directory as well.
pub(crate) fn listing(bytes: &[u8]) -> (Listing, Vec<u8>) {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).expect("opens");
    let (mut listing, mut all) = (Listing::new(), Vec::new());
    for n in 0..archive.len() {
        let mut entry = archive.by_index(n).expect("entry");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("content");
        let name = entry.name().expect("name").into_owned();
        listing.insert(name, (crc32fast::hash(&content), content.len() as u64));
        all.extend(content);
    }
    (listing, all)
}

/// Whether a tool can be started; says so if not.
pub(crate) fn present(tool: &str, version: &str) -> bool {
    let found = Command::new(tool)
        .arg(version)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        println!("skipped: `{tool} {version}` cannot be run here");
    }
    found
}

/// Archives that were accepted, kept in a directory and shown to all readers at once.
pub(crate) struct Accepted {
    dir: tempfile::TempDir,
    archives: Vec<(PathBuf, Listing, Vec<u8>)>,
}

const PYTHON: &str = r#"
import sys, zipfile, zlib
for line in sys.stdin:
    path = line.rstrip("\n")
    print("== " + path)
    with zipfile.ZipFile(path) as z:
        if z.testzip() is not None: print("damaged")
        for i in z.infolist():
            data = z.read(i)
            print("%s\t%d\t%d" % (i.filename, zlib.crc32(data), len(data)))
"#;

const JAVA: &str = r#"
import java.io.*; import java.nio.charset.StandardCharsets; import java.util.*;
import java.util.zip.*;
public class Oracle {
    static String line(String name, InputStream in) throws IOException {
        byte[] data = in.readAllBytes();
        CRC32 crc = new CRC32(); crc.update(data);
        return name + "\t" + crc.getValue() + "\t" + data.length;
    }
    public static void main(String[] args) throws Exception {
        var out = new PrintStream(new FileOutputStream(FileDescriptor.out), false, "UTF-8");
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        boolean forwards = args[0].equals("forwards");
        for (String path; (path = in.readLine()) != null; ) {
            out.println("== " + path);
            if (!forwards) {
                try (var zip = new ZipFile(path)) {
                    for (var e : Collections.list(zip.entries()))
                        out.println(line(e.getName(), zip.getInputStream(e)));
                } catch (IOException e) { out.println("! " + e.getMessage()); }
            } else {
                var lines = new ArrayList<String>();
                try (var zip = new ZipInputStream(new BufferedInputStream(new FileInputStream(path)))) {
                    for (ZipEntry e; (e = zip.getNextEntry()) != null; )
                        lines.add(line(e.getName(), zip));
                    lines.forEach(out::println);
                } catch (IOException e) { out.println("! " + e.getMessage()); }
            }
        }
        out.flush();
    }
}
"#;

/// What Java's forward-only reader cannot do (it says so, and shows nothing else instead): stored
/// entries whose size follows them, and 64-bit descriptors of short entries.
const FORWARDS_CANNOT: [&str; 2] =
    ["only DEFLATED entries can have EXT descriptor", "invalid entry size (expected 0 but got"];

impl Accepted {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("directory"), archives: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.archives.len()
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let path = self.dir.path().join(format!("{}.zip", self.archives.len()));
        std::fs::write(&path, bytes).expect("write");
        let (listing, all) = listing(bytes);
        self.archives.push((path, listing, all));
    }

    /// Asks every reader that is here.
    pub(crate) fn compare(&self) {
        if present("python3", "--version") {
            self.ask(Command::new("python3").args(["-c", PYTHON]), "Python", &[]);
        }
        if present("java", "-version") {
            let source = self.dir.path().join("Oracle.java");
            std::fs::write(&source, JAVA).expect("write");
            self.ask(Command::new("java").arg(&source).arg("file"), "Java's ZipFile", &[]);
            self.ask(
                Command::new("java").arg(&source).arg("forwards"),
                "Java's ZipInputStream",
                &FORWARDS_CANNOT,
            );
        }
        if present("unzip", "-v") {
            self.ask_unzip();
        }
    }

    fn ask(&self, command: &mut Command, who: &str, tolerated: &[&str]) {
        let mut child = command
            .env("PYTHONIOENCODING", "utf-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut input = child.stdin.take().expect("piped");
        let paths: String =
            self.archives.iter().map(|(path, ..)| format!("{}\n", path.display())).collect();
        let writer = std::thread::spawn(move || input.write_all(paths.as_bytes()));
        let output = child.wait_with_output().expect("ends");
        writer.join().expect("writer").expect("written");
        assert!(output.status.success(), "{who} failed");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let mut answers = text.split("== ").skip(1);
        let (mut same, mut unable) = (0, 0);
        for (path, expected, _) in &self.archives {
            let answer = answers.next().expect("an answer for each archive");
            let mut lines = answer.lines();
            assert_eq!(lines.next().map(Path::new), Some(path.as_path()));
            let lines: Vec<&str> = lines.collect();
            if let [line] = lines.as_slice()
                && tolerated.iter().any(|words| line.starts_with(&format!("! {words}")))
            {
                unable += 1;
                continue;
            }
            let found: Listing = lines
                .iter()
                .map(|line| {
                    let mut parts = line.rsplitn(3, '\t');
                    let mut number = || parts.next().and_then(|text| text.parse().ok());
                    let (length, crc) = (number(), number());
                    match (parts.next(), crc, length) {
                        (Some(name), Some(crc), Some(length)) => {
                            (name.to_owned(), (crc as u32, length))
                        }
                        _ => self.keep(path, &format!("{who} says {line}")),
                    }
                })
                .collect();
            if &found != expected || lines.len() != expected.len() {
                self.keep(path, &format!("{who} found {found:?}, not {expected:?}"));
            }
            same += 1;
        }
        println!("{who}: agrees on {same}, cannot read {unable}");
    }

    fn ask_unzip(&self) {
        let run = |option: &str, path: &Path| {
            Command::new("unzip")
                .env("LC_ALL", "C.UTF-8")
                .arg(option)
                .arg(path)
                .output()
                .expect("starts")
                .stdout
        };
        let filled = self.archives.iter().filter(|(_, listing, _)| !listing.is_empty());
        let mut same = 0;
        for (path, expected, all) in filled {
            let names = String::from_utf8(run("-Z1", path)).expect("UTF-8");
            let mut found: Vec<&str> = names.lines().collect();
            found.sort_unstable();
            let mut known: Vec<&str> = expected.keys().map(String::as_str).collect();
            known.sort_unstable();
            if found != known {
                self.keep(path, &format!("unzip lists {found:?}, not {known:?}"));
            }
            if &run("-p", path) != all {
                self.keep(path, "unzip finds other content");
            }
            same += 1;
        }
        println!("unzip: agrees on {same}");
    }

    /// Fails, and shows the bytes that readers disagree about.
    fn keep(&self, path: &Path, words: &str) -> ! {
        let bytes = std::fs::read(path).expect("read");
        let hex: String = bytes.iter().take(4096).map(|byte| format!("{byte:02x}")).collect();
        panic!("{words}\n{hex}");
    }
}
