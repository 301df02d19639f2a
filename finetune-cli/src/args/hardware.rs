//! Which processor computes.

use std::fmt;
use std::str::FromStr;

use anyhow::Result;
use clap::Args;
use tensor::Device;

use crate::progress::remark;

/// Which processor computes, and how much of it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Machine")]
pub struct HardwareArgs {
    /// Threads; the results do not depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Where the model runs: cpu, cuda (the first GPU), cuda:N, or auto (a GPU if there is one)
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: DeviceName,
}

/// A device as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceName {
    /// The first GPU if it can be used, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU by its number.
    Cuda(usize),
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected auto, cpu, cuda or cuda:N".to_owned();
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            other => {
                let number = other.strip_prefix("cuda:").ok_or_else(expected)?;
                number.parse().map(Self::Cuda).map_err(|_| expected())
            }
        }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(0) => f.write_str("cuda"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

impl DeviceName {
    /// Opens the device; unless `quiet`, a remark says why `auto` left the GPU alone.
    ///
    /// # Errors
    /// When a GPU was asked for and there is no driver, no such GPU, or it is too old.
    pub fn open(self, quiet: bool) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Auto => Ok(Device::cuda(0).unwrap_or_else(|why| {
                remark(quiet, &format!("device: cpu ({why})"));
                Device::Cpu
            })),
            Self::Cuda(ordinal) => Ok(Device::cuda(ordinal)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_as_in_pytorch() {
        let names =
            [("auto", DeviceName::Auto), ("cpu", DeviceName::Cpu), ("cuda", DeviceName::Cuda(0))];
        for (text, name) in names {
            assert_eq!(text.parse(), Ok(name));
            assert_eq!(name.to_string(), text);
        }
        assert_eq!("cuda:3".parse(), Ok(DeviceName::Cuda(3)));
        for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CUDA", "cuda:99999999999999999999"] {
            assert!(text.parse::<DeviceName>().is_err(), "{text}");
        }
    }
}
