//! The example backends, each with what it requires: installed once, and kept beside the test binaries.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// One of them, ready to be started.
pub(super) struct Example {
    interpreter: PathBuf,
    backend: PathBuf,
    /// Takes turns, acknowledges them, and says nothing of them.
    forgetful: PathBuf,
}

impl Example {
    /// `examples/backend-python`, in an environment of its own with `pika`.
    pub(super) fn python() -> Self {
        let home = installed("backend-python");
        let python = home.join("bin/python");
        let ready = |python: &Path| succeeds(Command::new(python).args(["-c", "import pika"]));
        if !ready(&python) {
            let mut make = Command::new("python3");
            make.args(["-m", "venv", "--clear"]).arg(&home);
            assert!(succeeds(&mut make), "python3 -m venv: install python3-venv");
            let mut pip = Command::new(&python);
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
                .arg(root().join("examples/backend-python/requirements.txt"));
            assert!(succeeds(&mut pip) && ready(&python), "pip could not install pika");
        }
        Self {
            interpreter: python,
            backend: root().join("examples/backend-python/backend.py"),
            forgetful: root().join("tests/it/external/forgetful.py"),
        }
    }

    /// `examples/backend-node`, copied to where `amqplib` is installed.
    pub(super) fn node() -> Self {
        let home = installed("backend-node");
        fs::create_dir_all(&home).unwrap();
        let source = root().join("examples/backend-node");
        let lock = "package-lock.json";
        let is_same = |file: &str| {
            fs::read(home.join(file)).is_ok_and(|kept| kept == fs::read(source.join(file)).unwrap())
        };
        let ready = is_same(lock) && home.join("node_modules/amqplib").is_dir();
        for file in ["package.json", lock, "backend.js", "shop.js", "sluice.js"] {
            fs::copy(source.join(file), home.join(file)).unwrap();
        }
        fs::copy(root().join("tests/it/external/forgetful.js"), home.join("forgetful.js")).unwrap();
        if !ready {
            let mut install = Command::new("npm");
            install.args(["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]);
            assert!(
                succeeds(install.current_dir(&home)),
                "npm ci: install nodejs and npm, 18 or newer"
            );
        }
        let (backend, forgetful) = (home.join("backend.js"), home.join("forgetful.js"));
        Self { interpreter: "node".into(), backend, forgetful }
    }

    pub(super) fn backend(&self) -> Command {
        self.run(&self.backend)
    }

    pub(super) fn forgetful(&self) -> Command {
        self.run(&self.forgetful)
    }

    fn run(&self, program: &Path) -> Command {
        let mut command = Command::new(&self.interpreter);
        command.arg(program);
        command
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn installed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn succeeds(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
