//! Names of members, which can be lost while the network stays.

use crate::network::{Network, files_of};
use std::fs;
use std::path::PathBuf;

/// Of a name service that is not there: refused at once, where it is asked at all.
const NO_SERVICE: &str = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";

/// The names of all stations, as each of them sees them; they go with the network.
pub struct Names {
    directories: Vec<PathBuf>,
    hosts: String,
}

/// What a station is called.
#[must_use]
pub fn name(station: &str) -> String {
    format!("{station}.kvorum.test")
}

impl Names {
    /// For processes that start at these stations from now on.
    ///
    /// # Panics
    /// If the files cannot be written: root is needed.
    #[must_use]
    pub fn give(network: &Network, stations: &[String]) -> Self {
        let places: Vec<_> = stations.iter().map(|s| network.place(s)).collect();
        let hosts = stations.iter().zip(&places);
        let names = Self {
            hosts: hosts
                .map(|(station, place)| format!("{} {}\n", place.address, name(station)))
                .collect(),
            directories: places
                .iter()
                .filter_map(|place| place.namespace.as_deref())
                .map(files_of)
                .collect(),
        };
        for directory in &names.directories {
            fs::create_dir_all(directory)
                .and_then(|()| fs::write(directory.join("resolv.conf"), NO_SERVICE))
                .unwrap_or_else(|e| panic!("cannot write in {}: {e}", directory.display()));
        }
        names.write(&names.hosts);
        names
    }

    /// No name is known any more.
    ///
    /// # Panics
    /// If the files cannot be written.
    pub fn lose(&self) {
        self.write("");
    }

    /// They are known again.
    ///
    /// # Panics
    /// If the files cannot be written.
    pub fn restore(&self) {
        self.write(&self.hosts);
    }

    /// In place: the processes see these very files.
    fn write(&self, hosts: &str) {
        for directory in &self.directories {
            fs::write(directory.join("hosts"), hosts)
                .unwrap_or_else(|e| panic!("cannot write in {}: {e}", directory.display()));
        }
    }
}
