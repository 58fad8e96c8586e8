//! The certificates of a testbed's Kubernetes, and the kubeconfig files that go with them.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};

use crate::addresses::Addresses;
use crate::state::{NodeRecord, make_dir, write};

/// Who signs, and where the files go.
struct Authority<'a> {
    issuer: Issuer<'a, KeyPair>,
    directory: &'a Path,
}

/// Writes all certificates and kubeconfigs below `directory`.
pub(crate) fn create(directory: &Path, addresses: Addresses, nodes: &[NodeRecord]) -> Result<()> {
    make_dir(directory)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    let authority = Authority::new(directory)?;
    write_account_keys(directory)?;
    let server = format!("https://{}:6443", addresses.control_plane());
    let names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
    ];
    let ips = [
        IpAddr::V4(addresses.first_service()),
        IpAddr::V4(addresses.control_plane()),
        IpAddr::V4(*addresses.api_on_machine().ip()),
        IpAddr::from([127, 0, 0, 1]),
    ];
    authority.leaf("apiserver", "kube-apiserver", None, &names, &ips)?;
    authority.leaf(
        "kubelet-client",
        "kube-apiserver-kubelet-client",
        Some("system:masters"),
        &[],
        &[],
    )?;
    for (file, common_name, group) in [
        ("admin", "admin", Some("system:masters")),
        ("kcm", "system:kube-controller-manager", None),
        ("scheduler", "system:kube-scheduler", None),
        ("proxy", "system:kube-proxy", None),
        ("dns", "system:coredns", None),
    ] {
        authority.leaf(file, common_name, group, &[], &[])?;
        authority.kubeconfig(file, &server)?;
    }
    for node in nodes {
        let file = format!("node-{}", node.name);
        let address = IpAddr::V4(addresses.host(node.index));
        authority.leaf(
            &file,
            &format!("system:node:{}", node.name),
            Some("system:nodes"),
            &[&node.name],
            &[address],
        )?;
        authority.kubeconfig(&file, &server)?;
    }
    Ok(())
}

/// Writes the pair that service accounts' tokens are signed with: `sa.key` and `sa.pub`.
///
/// # Errors
/// If they cannot be written.
pub fn write_account_keys(directory: &Path) -> Result<()> {
    let accounts = KeyPair::generate()?;
    write(&directory.join("sa.key"), &accounts.serialize_pem())?;
    write(&directory.join("sa.pub"), &accounts.public_key_pem())
}

impl<'a> Authority<'a> {
    fn new(directory: &'a Path) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished("kvorum-testbed", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let key = KeyPair::generate()?;
        write(&directory.join("ca.crt"), &params.self_signed(&key)?.pem())?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            directory,
        })
    }

    fn leaf(
        &self,
        file: &str,
        common_name: &str,
        group: Option<&str>,
        names: &[&str],
        ips: &[IpAddr],
    ) -> Result<()> {
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished(common_name, group);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        for name in names {
            params.subject_alt_names.push(SanType::DnsName(
                (*name).try_into().context("a DNS name that is none")?,
            ));
        }
        params
            .subject_alt_names
            .extend(ips.iter().map(|ip| SanType::IpAddress(*ip)));
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        write(
            &self.directory.join(format!("{file}.crt")),
            &certificate.pem(),
        )?;
        write(
            &self.directory.join(format!("{file}.key")),
            &key.serialize_pem(),
        )
    }

    fn kubeconfig(&self, user: &str, server: &str) -> Result<()> {
        write(
            &self.directory.join(format!("{user}.kubeconfig")),
            &kubeconfig(server, self.directory, user),
        )
    }
}

fn distinguished(common_name: &str, group: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(group) = group {
        name.push(DnType::OrganizationName, group);
    }
    name.push(DnType::CommonName, common_name);
    name
}

/// A kubeconfig for `user`, whose certificate and key lie in `pki`.
pub(crate) fn kubeconfig(server: &str, pki: &Path, user: &str) -> String {
    let pki = pki.display();
    format!(
        "apiVersion: v1\nkind: Config\n\
         clusters: [{{name: testbed, cluster: {{server: \"{server}\", certificate-authority: \"{pki}/ca.crt\"}}}}]\n\
         users: [{{name: {user}, user: {{client-certificate: \"{pki}/{user}.crt\", client-key: \"{pki}/{user}.key\"}}}}]\n\
         contexts: [{{name: testbed, context: {{cluster: testbed, user: {user}}}}}]\n\
         current-context: testbed\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_names_server_and_files() {
        let text = kubeconfig("https://127.77.0.1:6443", Path::new("/s/pki"), "admin");
        assert!(text.contains("server: \"https://127.77.0.1:6443\""));
        assert!(text.contains("client-key: \"/s/pki/admin.key\""));
        assert!(text.ends_with("current-context: testbed\n"));
    }
}
