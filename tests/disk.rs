//! A disk whose power can be cut.
//!
//! An XFS image with reflinks holds `disk.img`; a loop device with direct I/O makes that a block
//! device; ext4 lives on it. A reflink copy of `disk.img` is what the disk held at that moment,
//! without the page cache: mounting the copy replays the journal just as a machine does after the
//! power came back. Writes the system had not issued yet are lost; reordering inside a disk's own
//! cache is not modelled.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Size of the ext4 disk, in MiB (sparse).
const DISK_MIB: u64 = 1024;
/// Size of the XFS image around it, in MiB (sparse); 300 is the least that XFS takes.
const OUTER_MIB: u64 = 4096;
/// How long an unmount may be refused as busy.
const UNMOUNT_TIMEOUT: Duration = Duration::from_secs(10);
/// Directories of this name are ours; the number after it is the process that made it.
const PREFIX: &str = "ingot-power-";

fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(args)
        .output()
        .map_err(|error| format!("{program} cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("{program} {}: {said} ({})", args.join(" "), output.status))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

/// A loop device, let go when dropped.
struct Loop(String);

impl Loop {
    fn attach(image: &Path, options: &[&str]) -> Result<Self, String> {
        let mut args = vec!["--show", "-f"];
        args.extend(options);
        args.push(text(image));
        run("losetup", &args).map(Self)
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = run("losetup", &["-d", &self.0]);
    }
}

/// A mounted file system, unmounted when dropped: by force if somebody still holds it.
struct Mount(PathBuf);

impl Mount {
    fn new(device: &str, at: &Path) -> Result<Self, String> {
        fs::create_dir_all(at).map_err(|error| error.to_string())?;
        run("mount", &[device, text(at)])?;
        Ok(Self(at.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        unmount(&self.0);
    }
}

fn unmount(at: &Path) {
    let deadline = Instant::now() + UNMOUNT_TIMEOUT;
    while run("umount", &[text(at)]).is_err() {
        if Instant::now() > deadline {
            let _ = run("umount", &["-l", text(at)]);
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The disk under test. Fields are dropped, and so undone, in the order written.
pub struct Disk {
    live: Mount,
    _device: Loop,
    outer: Mount,
    _outer_device: Loop,
    dir: Directory,
}

/// What is removed last, with everything a failed unmount left in it.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        sweep(&self.0);
    }
}

impl Disk {
    /// Makes and mounts a disk, or says why this machine cannot.
    pub fn new() -> Result<Self, String> {
        let base = std::env::temp_dir();
        sweep_dead(&base);
        let dir = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", std::process::id()))
            .tempdir_in(&base)
            .map_err(|error| error.to_string())?
            .keep();
        let dir = Directory(dir);
        let outer_image = dir.0.join("outer.img");
        sparse(&outer_image, OUTER_MIB)?;
        run("mkfs.xfs", &["-q", "-m", "reflink=1", text(&outer_image)])?;
        let outer_device = Loop::attach(&outer_image, &[])?;
        let outer = Mount::new(&outer_device.0, &dir.0.join("outer"))?;
        let image = outer.0.join("disk.img");
        sparse(&image, DISK_MIB)?;
        let device = Loop::attach(&image, &["--direct-io=on"])?;
        // No lazy initialisation: the disk is quiet unless the program under test writes.
        let eager = "lazy_itable_init=0,lazy_journal_init=0,nodiscard";
        run("mkfs.ext4", &["-q", "-F", "-E", eager, &device.0])?;
        let live = Mount::new(&device.0, &dir.0.join("live"))?;
        Ok(Self { live, _device: device, outer, _outer_device: outer_device, dir })
    }

    /// Where the program under test keeps its files.
    pub fn path(&self) -> &Path {
        &self.live.0
    }

    /// Cuts the power of a copy: what the disk holds at this moment, as a file.
    pub fn cut(&self, name: &str) -> Result<Copy, String> {
        let image = self.outer.0.join(format!("{name}.img"));
        let disk = self.outer.0.join("disk.img");
        run("cp", &["--reflink=always", text(&disk), text(&image)])?;
        Ok(Copy { image, at: self.dir.0.join(name) })
    }
}

fn sparse(path: &Path, mib: u64) -> Result<(), String> {
    let file = fs::File::create(path).map_err(|error| error.to_string())?;
    file.set_len(mib << 20).map_err(|error| error.to_string())
}

/// What a disk held when the power was cut; removed when dropped.
pub struct Copy {
    image: PathBuf,
    at: PathBuf,
}

impl Copy {
    /// Turns the power on again: mounts the copy, which replays the journal.
    pub fn mount(self) -> Result<Revived, String> {
        let device = Loop::attach(&self.image, &["--direct-io=on"])?;
        let mount = Mount::new(&device.0, &self.at)?;
        Ok(Revived { mount, _device: device, _copy: self })
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.image);
    }
}

/// The copy, mounted. Fields are dropped in the order written.
pub struct Revived {
    mount: Mount,
    _device: Loop,
    _copy: Copy,
}

impl Revived {
    /// Where the copy is mounted.
    pub fn path(&self) -> &Path {
        &self.mount.0
    }
}

/// Undoes everything below a directory of ours: mounts, inner ones first, loop devices, files.
fn sweep(dir: &Path) {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let below =
        |line: &&str| line.split(' ').nth(1).is_some_and(|at| Path::new(at).starts_with(dir));
    for line in mounts.lines().rev().filter(below) {
        unmount(Path::new(line.split(' ').nth(1).unwrap_or_default()));
    }
    let devices = run("losetup", &["-a"]).unwrap_or_default();
    for line in devices.lines().filter(|line| line.contains(text(dir))) {
        let _ = run("losetup", &["-d", line.split(':').next().unwrap_or_default()]);
    }
    let _ = fs::remove_dir_all(dir);
}

/// Sweeps what earlier runs left that were killed themselves.
fn sweep_dead(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        let alive = rest.split('-').next().is_some_and(|pid| Path::new("/proc").join(pid).exists());
        if !alive {
            sweep(&entry.path());
        }
    }
}

/// This machine cannot cut the power: says so. In CI, which can, that is a failure.
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "CI must be able to cut the power: {why}");
    crate::say(&format!("skipped: {why}"));
}
